// SPDX-License-Identifier: Apache-2.0
// BlockchainTests: every block is taken from its RLP; what must be refused has to be refused.
#include "tests/conformance/blocktest.hpp"

#include <map>

#include "consensus/transition/block.hpp"
#include "core/hash.hpp"
#include "core/rlp.hpp"
#include "tests/conformance/fixture.hpp"

namespace trainyard::conformance {
namespace {

using consensus::ChainConfig;

/// The chain so far: headers by number and the world at the tip.
struct Chain {
    const ChainConfig& config;
    MemoryWorld world;
    std::vector<Header> headers;
    std::vector<Hash> hashes;
};

std::string describe(const consensus::BlockInvalid& invalid) {
    std::string text(to_text(invalid.fault));
    if (invalid.tx_error)
        text += " (transaction " + std::to_string(invalid.tx_index) + ": " +
                std::string(to_text(*invalid.tx_error)) + ")";
    return text;
}

/// Empty if the block was taken, else why not.
std::string add_block(Chain& chain, BytesView encoded) {
    const auto block = decode_block(encoded);
    if (!block) return "does not decode: " + std::string(rlp::to_text(block.error()));
    const auto outcome = consensus::apply_block(
        chain.world, chain.headers.back(), *block,
        [&](uint64_t number) {
            return number < chain.hashes.size() ? chain.hashes[number] : Hash{};
        },
        chain.config);
    if (!outcome) return describe(outcome.error());
    if (chain.world.root_after(outcome->diff) != block->header.state_root)
        return std::string(to_text(consensus::BlockFault::bad_state_root));
    chain.world.apply(outcome->diff);
    chain.headers.push_back(block->header);
    chain.hashes.push_back(hash_header(block->header));
    return "";
}

Header genesis_header(const json::object& test) {
    const Bytes encoded = bytes_of(test.at("genesisRLP"));
    const auto block = decode_block(encoded);
    if (!block) throw BadVector{"the genesis block does not decode"};
    return block->header;
}

std::string run_blocks(const json::object& test, Chain& chain) {
    size_t index = 0;
    for (const auto& item : test.at("blocks").as_array()) {
        ++index;
        const auto& o = item.as_object();
        const auto* refused = find(o, "expectException");
        const auto* encoded = find(o, "rlp");
        const std::string where = "block " + std::to_string(index) + ": ";
        std::string error = "no RLP";
        if (encoded != nullptr) {
            const auto bytes = from_hex(encoded->as_string());
            error = bytes ? add_block(chain, *bytes) : "odd hexadecimal digits";
        }
        if (refused == nullptr && !error.empty()) return where + "expected valid, found " + error;
        if (refused != nullptr && error.empty())
            return where + "expected refusal " + std::string(refused->as_string()) +
                   ", found valid";
    }
    return "";
}

std::string run_test(const json::object& test) {
    const auto* own = find(test, "config");
    const auto config =
        config_named(test.at("network").as_string(), own == nullptr ? nullptr : &own->as_object());
    if (!config) return "unknown network " + std::string(test.at("network").as_string());
    Chain chain{*config, {}, {genesis_header(test)}, {}};
    chain.hashes.push_back(hash_header(chain.headers[0]));
    chain.world.apply(accounts_of(object_at(test, "pre")));
    if (chain.world.root() != chain.headers[0].state_root) return "another genesis state root";
    if (auto error = run_blocks(test, chain); !error.empty()) return error;
    const auto last = fixed_of<Hash>(test.at("lastblockhash"));
    if (chain.hashes.back() != last)
        return "expected last block " + to_hex0x(last.bytes) + ", found " +
               to_hex0x(chain.hashes.back().bytes);
    if (const auto* root = find(test, "postStateHash"))
        if (fixed_of<Hash>(*root) != chain.world.root())
            return "expected root " + std::string(root->as_string()) + ", found " +
                   to_hex0x(chain.world.root().bytes);
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
            difference = run_test(o);
        } catch (const BadVector& bad) {
            difference = "bad vector: " + bad.what;
        }
        tally.expect(difference.empty(), path + " " + std::string(name) + ": " + difference);
    }
    return tally;
}

}  // namespace trainyard::conformance
