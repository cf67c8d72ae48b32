// SPDX-License-Identifier: Apache-2.0
// BlockchainTests: every block is taken from its RLP; what must be refused has to be refused.
#include "tests/conformance/blocktest.hpp"

#include <deque>
#include <map>
#include <thread>

#include "consensus/rules/work.hpp"
#include "consensus/transition/block.hpp"
#include "core/hash.hpp"
#include "core/rlp.hpp"
#include "tests/conformance/fixture.hpp"
#include "tests/conformance/refusals.hpp"

namespace trainyard::conformance {
namespace {

using consensus::ChainConfig;

/// A block with the world after it.
struct Tip {
    Header header;
    std::vector<Header> ommers;
    Uint256 total_difficulty;
    MemoryWorld world;
};

/// New threads for each block.
class Threads final : public consensus::Executor {
public:
    explicit Threads(unsigned count) : count_(count) {}
    void run(const std::function<void()>& work) override {
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < count_; ++i) threads.emplace_back(work);
        for (auto& thread : threads) thread.join();
    }

private:
    unsigned count_;
};

/// All branches so far, as far back as a block may look.
struct Chain {
    static constexpr size_t kTipsMax = 300;  ///< BLOCKHASH reaches back 256; each has a world
    const ChainConfig& config;
    consensus::Executor* executor;
    std::map<Hash, Tip> tips;
    std::deque<Hash> order;  ///< in which they came
    Hash head;               ///< the valid block that came last

    void add(const Hash& hash, Tip tip) {
        head = hash;
        if (!tips.emplace(hash, std::move(tip)).second) return;
        order.push_back(hash);
        if (order.size() <= kTipsMax) return;
        tips.erase(order.front());
        order.pop_front();
    }

    [[nodiscard]] Hash hash_on_branch(Hash at, uint64_t number) const {
        for (auto it = tips.find(at); it != tips.end(); it = tips.find(at)) {
            if (it->second.header.number == number) return at;
            at = it->second.header.parent_hash;
        }
        return {};
    }
    /// Parent first, without their transactions.
    [[nodiscard]] std::vector<Block> ancestors_on_branch(Hash at) const {
        std::vector<Block> blocks;
        for (auto it = tips.find(at); it != tips.end() && blocks.size() < consensus::kOmmerDepthMax;
             it = tips.find(it->second.header.parent_hash))
            blocks.push_back({it->second.header, {}, it->second.ommers, {}});
        return blocks;
    }
    /// The rules for a child of `tip`: the Merge may come with it.
    [[nodiscard]] ChainConfig config_after(const Tip& tip) const {
        ChainConfig after = config;
        const auto& terminal = config.terminal_total_difficulty;
        if (terminal && tip.total_difficulty >= *terminal)
            after.set_merge_block(tip.header.number + 1);
        return after;
    }
};

std::optional<Refusal> refuse(consensus::BlockFault fault) {
    return refusal_of({fault, 0, {}});
}

/// Nothing if the block was taken, else why not.
std::optional<Refusal> add_block(Chain& chain, const Block& block) {
    const auto parent = chain.tips.find(block.header.parent_hash);
    if (parent == chain.tips.end()) return refuse(consensus::BlockFault::wrong_parent);
    const auto& [parent_hash, tip] = *parent;
    const consensus::Lineage lineage{
        [&, at = parent_hash](uint64_t number) { return chain.hash_on_branch(at, number); },
        [&, at = parent_hash] { return chain.ancestors_on_branch(at); },
        [&world = tip.world](const state::StateDiff& diff) { return world.root_after(diff); },
        chain.executor};
    const ChainConfig config = chain.config_after(tip);
    const auto outcome = consensus::apply_block(tip.world, tip.header, block, lineage, config);
    if (!outcome) return refusal_of(outcome.error());
    Tip next{block.header, block.ommers, tip.total_difficulty + block.header.difficulty, tip.world};
    next.world.apply(outcome->diff);
    if (next.world.root() != block.header.state_root)
        return refuse(consensus::BlockFault::bad_state_root);
    chain.add(hash_header(block.header), std::move(next));
    return std::nullopt;
}

Header genesis_header(const json::object& test) {
    const Bytes encoded = bytes_of(test.at("genesisRLP"));
    const auto block = decode_block(encoded);
    if (!block) throw BadVector{"the genesis block does not decode"};
    return block->header;
}

/// Empty if the block fared as expected, which may be null for a valid one.
std::string run_block(Chain& chain, BytesView encoded, const json::value* expected) {
    const auto block = decode_block(encoded);
    auto refusal = block ? add_block(chain, *block)
                         : std::optional(undecodable(std::string(rlp::to_text(block.error()))));
    if (expected == nullptr) return refusal ? "expected valid, found " + refusal->text : "";
    const std::string_view names = expected->as_string();
    if (refusal && is_refused_as(names, *refusal)) return "";
    // Some blocks have the transactions root of the block without the bad transaction: the reason
    // that the vector names has to come up once that is put right.
    if (refusal && refusal->fault == consensus::BlockFault::bad_transactions_root) {
        Block corrected = *block;
        corrected.header.transactions_root = consensus::transactions_root(block->txs);
        refusal = add_block(chain, corrected);
        if (refusal && is_refused_as(names, *refusal)) return "";
    }
    return "expected refusal " + std::string(names) + ", found " +
           (refusal ? "refusal: " + refusal->text : "valid");
}

std::string run_blocks(const json::object& test, Chain& chain) {
    size_t index = 0;
    for (const auto& item : test.at("blocks").as_array()) {
        ++index;
        const auto& o = item.as_object();
        const auto* refused = find(o, "expectException");
        const auto* rlp = find(o, "rlp");
        const auto bytes = rlp == nullptr ? std::nullopt : from_hex(rlp->as_string());
        const auto difference = run_block(chain, bytes.value_or(Bytes()), refused);
        if (!difference.empty()) return "block " + std::to_string(index) + ": " + difference;
    }
    return "";
}

std::string run_test(const json::object& test, unsigned parallel) {
    const auto* own = find(test, "config");
    const auto config =
        config_named(test.at("network").as_string(), own == nullptr ? nullptr : &own->as_object());
    if (!config) return "unknown network " + std::string(test.at("network").as_string());
    Tip genesis{genesis_header(test), {}, {}, {}};
    genesis.total_difficulty = genesis.header.difficulty;
    genesis.world.apply(accounts_of(object_at(test, "pre")));
    if (genesis.world.root() != genesis.header.state_root) return "another genesis state root";
    const Hash genesis_hash = hash_header(genesis.header);
    Threads threads(parallel);
    Chain chain{*config, parallel > 1 ? &threads : nullptr, {}, {}, {}};
    chain.add(genesis_hash, std::move(genesis));
    if (auto error = run_blocks(test, chain); !error.empty()) return error;
    const auto last = chain.tips.find(fixed_of<Hash>(test.at("lastblockhash")));
    if (last == chain.tips.end())
        return "expected last block " + std::string(test.at("lastblockhash").as_string()) +
               ", found " + to_hex0x(chain.head.bytes);
    const Hash found = last->second.world.root();
    if (const auto* root = find(test, "postStateHash"))
        if (fixed_of<Hash>(*root) != found)
            return "expected root " + std::string(root->as_string()) + ", found " +
                   to_hex0x(found.bytes);
    return "";
}

}  // namespace

Tally run_block_file(const json::value& file, const std::string& path, const Options& options) {
    Tally tally;
    for (const auto& [name, test] : file.as_object()) {
        const auto& o = test.as_object();
        if (!options.fork.empty() && o.at("network").as_string() != options.fork) continue;
        if (is_excluded(path, name, options)) {
            ++tally.excluded;
            continue;
        }
        std::string difference;
        try {
            difference = run_test(o, options.parallel);
        } catch (const BadVector& bad) {
            difference = "bad vector: " + bad.what;
        } catch (const std::exception& e) {  // a key is missing or of another kind
            difference = std::string("bad vector: ") + e.what();
        }
        tally.expect(difference.empty(), path + " " + std::string(name) + ": " + difference);
    }
    return tally;
}

}  // namespace trainyard::conformance
