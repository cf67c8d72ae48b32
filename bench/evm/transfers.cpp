// SPDX-License-Identifier: Apache-2.0
// 1,000 transfers on a large state in LevelDB, step by step; and the trie alone.
#include <cstdio>
#include <filesystem>

#include "bench/evm/bench.hpp"
#include "consensus/transition/block.hpp"
#include "core/hash.hpp"
#include "node/chain/executor.hpp"
#include "state/kv.hpp"
#include "state/world.hpp"

namespace trainyard::bench {
namespace {

constexpr uint64_t kChainId = 7777;
constexpr int kTransfers = 1000;

SecretKey key_of(int i) {
    SecretKey key;
    for (size_t b = 0; b < 4; ++b)
        key[31 - b] = static_cast<uint8_t>(static_cast<uint32_t>(i + 1) >> (8 * b));
    return key;
}

/// The address of account `i`, which need not have a key.
Address address_at(int i) {
    const Hash h = keccak256(to_hash(Uint256(static_cast<uint64_t>(i))).bytes);
    return *fixed_from<Address>(BytesView(h.bytes).subspan(12));
}

state::AccountChange with_balance(uint64_t balance) {
    return state::AccountChange{1, Uint256(balance) << 40, kEmptyCodeHash, false, {}};
}

template <class T>
std::shared_ptr<const T> shared(T value) {
    return std::make_shared<const T>(std::move(value));
}

/// A chain in a folder of its own whose genesis has `accounts` accounts; the first 1,000 can sign.
class Ledger {
public:
    Ledger(const std::string& folder, int accounts) : accounts_(accounts) {
        config_.chain_id = kChainId;
        for (int i = 0; i < kTransfers; ++i) senders_.push_back(*address_of(key_of(i)));
        write_genesis(folder + "/node");
        std::filesystem::copy(folder + "/node", folder + "/proposer",
                              std::filesystem::copy_options::recursive);
        node_ = Store(folder + "/node");
        proposer_ = Store(folder + "/proposer");
        read_other_half();
    }

    void write_genesis(const std::string& folder) {
        const Store store(folder);
        state::StateDiff diff;
        for (int i = 0; i < kTransfers; ++i) {
            diff.accounts[senders_[static_cast<size_t>(i)]] = with_balance(1'000'000'000);
        }
        for (int i = kTransfers; i < accounts_; ++i)
            diff.accounts[address_at(i)] = with_balance(static_cast<uint64_t>(i));
        Block genesis;
        genesis.header.gas_limit = 60'000'000;
        genesis.header.base_fee_per_gas = 1'000'000'000;
        genesis.header.withdrawals_root = kEmptyTrieRoot;
        genesis.header.blob_gas_used = genesis.header.excess_blob_gas = 0;
        genesis.withdrawals.emplace();
        auto update = *state::state_root(kEmptyTrieRoot, diff, state::NoNodes());
        genesis.header.state_root = update.root;
        (void)store.world->commit_block(
            {genesis, {}, shared(std::move(diff)), shared(std::move(update)), {}});
    }

    /// A node that has run for a while has the upper nodes of the trie in memory. No recipient is
    /// in this half of the accounts.
    void read_other_half() const {
        const auto view = *node_.world->view_at(node_.world->head()->header.state_root);
        for (int i = accounts_ / 2; i < accounts_; i += 2) (void)view.account(address_at(i));
    }

    /// A block of transfers from every signer to accounts all over the other half. Made by another
    /// node: whoever receives the block has not read these accounts.
    Block make_block(int round) {
        const Header parent = node_.world->head()->header;
        int next = 0;
        const consensus::BuildInput input{
            parent,
            consensus::make_header(parent, {}, config_),
            [](uint64_t) { return Hash{}; },
            config_,
            [&]() -> std::optional<consensus::Candidate> {
                if (next == kTransfers) return std::nullopt;
                const int i = next++;
                return consensus::Candidate{transfer(i, round), senders_[static_cast<size_t>(i)]};
            },
            {}};
        const auto& world = *proposer_.world;
        auto built = *consensus::build_block(*world.view_at(parent.state_root), input);
        if (built.block.txs.size() != kTransfers) std::printf("transfers were skipped\n");
        auto update = *state::state_root(parent.state_root, built.outcome.diff, world.nodes());
        built.block.header.state_root = update.root;
        (void)proposer_.world->commit_block({built.block,
                                             built.outcome.receipts,
                                             shared(std::move(built.outcome.diff)),
                                             shared(std::move(update)),
                                             {}});
        return std::move(built.block);
    }

    /// Microseconds of one step: by the clock, and least of the processor for this thread.
    struct Step {
        std::vector<double> walls;
        double cpu = 1e18;

        template <class Run>
        double take(const Run& run) {
            const double cpu_before = cpu_now_us();
            walls.push_back(time_us(run));
            cpu = std::min(cpu, cpu_now_us() - cpu_before);
            return walls.back();
        }
    };
    struct Times {
        Step recover, execute, root, write;
        std::vector<double> sums;
    };
    /// Microseconds to move the states of the last blocks to the tables.
    double flush() {
        return time_us([&] { (void)node_.world->flush(); });
    }
    /// Takes `block` as the next one; adds what each step took.
    void add(const Block& block, Times& times) {
        const Header parent = node_.world->head()->header;
        times.recover.take([&] {
            for (const auto& tx : block.txs) (void)recover_sender(tx);
        });
        const auto view = *node_.world->view_at(parent.state_root);
        state::ParentState before(view, node_.world->nodes(), parent.state_root);
        std::optional<consensus::BlockOutcome> outcome;
        std::optional<state::StateUpdate> update;
        double sum = times.execute.take([&] {
            outcome = *consensus::apply_block(before, parent, block,
                                              {{}, {}, {}, &executor_, senders_}, config_);
        });
        sum += times.root.take([&] { update = *before.change(outcome->diff, side_by_side_); });
        sum += times.write.take([&] {
            (void)node_.world->commit_block({block,
                                             outcome->receipts,
                                             shared(std::move(outcome->diff)),
                                             shared(*std::move(update)),
                                             {},
                                             nullptr,
                                             side_by_side_});
        });
        times.sums.push_back(sum);
    }

    /// Microseconds to change `count` accounts that are spread over the state and hash the root.
    double change_accounts(int count, int round) const {
        state::StateDiff diff;
        for (int i = 0; i < count; ++i) {
            const auto pick = static_cast<int64_t>(i) * 7919 + int64_t{round} * 104729;
            const auto at = kTransfers + static_cast<int>(pick % (accounts_ - kTransfers));
            diff.accounts[address_at(at)] = with_balance(static_cast<uint64_t>(round) + 3);
        }
        const Hash root = node_.world->head()->header.state_root;
        return cpu_us([&] { (void)state::state_root(root, diff, node_.world->nodes()); });
    }

private:
    Tx transfer(int i, int round) const {
        Tx tx;
        tx.type = TxType::dynamic_fee;
        tx.chain_id = kChainId;
        tx.nonce = static_cast<uint64_t>(round) + 1;
        tx.max_fee_per_gas = 2'000'000'000;
        tx.gas_limit = 21'000;
        const auto pick = static_cast<int64_t>(i) * 99991 + int64_t{round} * 31337;
        tx.to = address_at(kTransfers + static_cast<int>(pick % (accounts_ / 2 - kTransfers)));
        tx.value = 1;
        sign_tx(tx, key_of(i));
        return tx;
    }

    struct Store {
        Store() = default;
        explicit Store(const std::string& folder)
            : kv(*state::open_leveldb(folder)), world(*state::World::open(*kv)) {}
        std::unique_ptr<state::Kv> kv;
        std::unique_ptr<state::World> world;
    };

    int accounts_;
    consensus::ChainConfig config_;
    std::vector<Address> senders_;
    Store node_, proposer_;
    node::chain::ThreadExecutor executor_{2};
    state::SideBySide side_by_side_ = [this](const std::function<void()>& work) {
        executor_.run(work);
    };
};

double least(const std::vector<double>& values) {
    return *std::min_element(values.begin(), values.end());
}
double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

}  // namespace

void run_transfers(const Options& options) {
    const std::string name = "state::transfers/accounts=" + std::to_string(options.accounts);
    if (!options.wants(name)) return;
    const auto folder = std::filesystem::temp_directory_path() / "trainyard_bench_evm";
    std::filesystem::remove_all(folder);
    {
        Ledger ledger(folder.string(), options.accounts);
        Ledger::Times times;
        for (int round = 0; round < std::max(options.repetitions, 5); ++round)
            ledger.add(ledger.make_block(round), times);
        const auto print = [&](const char* step, const Ledger::Step& t) {
            std::printf(
                "%s/block=%d/step=%-14s least %6.2f ms, median %6.2f ms; of the processor %6.2f\n",
                name.c_str(), kTransfers, step, least(t.walls) / 1e3, median(t.walls) / 1e3,
                t.cpu / 1e3);
        };
        print("recover_ahead", times.recover);
        print("execute", times.execute);
        print("root", times.root);
        print("synced_write", times.write);
        std::printf("%s/block=%d: execution, root and write least %.2f ms, median %.2f ms\n",
                    name.c_str(), kTransfers, least(times.sums) / 1e3, median(times.sums) / 1e3);
        std::printf("%s/block=%d/step=flush_later   %8.2f ms a block\n", name.c_str(), kTransfers,
                    ledger.flush() / 1e3 / static_cast<double>(times.sums.size()));
        for (const int count : {1000, 10000}) {
            double us = 1e18;
            for (int round = 0; round < options.repetitions; ++round)
                us = std::min(us, ledger.change_accounts(count, round));
            std::printf(
                "state::state_root/changed=%d of %d: %.2f ms of the processor, %.0f accounts/s\n",
                count, options.accounts, us / 1e3, count / us * 1e6);
        }
    }
    std::filesystem::remove_all(folder);
}

}  // namespace trainyard::bench
