// SPDX-License-Identifier: Apache-2.0
// A chain without blocks: the state of the devnet's genesis, transactions without gas price, time
// that the test moves.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "consensus/params.hpp"
#include "core/block.hpp"
#include "core/keys.hpp"
#include "state/view.hpp"
#include "vm/code_cache.hpp"

namespace trainyard::contracts {

struct ChainValidator {
    Address operator_address;
    Uint256 stake_wei;
};

/// What a transaction did.
struct Sent {
    bool ok = false;
    Bytes output;  ///< return or revert data
    std::vector<Log> logs;
    uint64_t gas_used = 0;
    /// "NotYet", "BadValue(escrow)": the custom error in the revert data; "" if it is none we know.
    [[nodiscard]] std::string error() const;
};

class MemoryView final : public state::StateView {
public:
    [[nodiscard]] std::optional<state::Account> account(const Address& address) const override;
    [[nodiscard]] Uint256 storage(const Address& address, const Uint256& slot) const override;
    [[nodiscard]] Bytes code(const Hash& code_hash) const override;
    void apply(const state::StateDiff& diff);
    /// Sum of all balances.
    [[nodiscard]] Uint256 supply() const;

private:
    std::map<Address, state::Account> accounts_;
    std::map<Address, std::map<Uint256, Uint256>> slots_;
    std::map<Hash, Bytes> codes_;
};

class Chain {
public:
    /// genesis/devnet.json with these validators; `overrides` replace market parameters by name.
    explicit Chain(std::vector<ChainValidator> validators,
                   const std::map<std::string, Uint256>& overrides = {});

    /// A transaction with gas price zero; what it changed stays if it succeeds.
    Sent send(const Address& from, const Address& to, const Bytes& data, const Uint256& value = 0);
    /// A message that no transaction could send: from a contract. Unlimited gas.
    Sent impersonate(const Address& from, const Address& to, const Bytes& data);
    /// The same without a trace; for views.
    [[nodiscard]] Bytes call(const Address& to, const Bytes& data);
    /// Blocks pass, each in the view after its parent's: begin_block tells the contracts what they
    /// must know. One second each.
    void mine(uint64_t blocks = 1);
    /// One block in `view`; the views since the parent's were skipped.
    void mine_in_view(uint64_t view);
    void skip_seconds(uint64_t seconds) { timestamp_ += seconds; }

    void give(const Address& to, const Uint256& wei);
    [[nodiscard]] const state::StateView& state() const { return view_; }
    [[nodiscard]] const consensus::ChainConfig& config() const { return config_; }
    [[nodiscard]] uint64_t view() const { return parent_view_; }
    /// prev_randao of a block.
    [[nodiscard]] Hash beacon_at(uint64_t number) const;
    void install(const Address& at, const Bytes& code);

    [[nodiscard]] Uint256 balance(const Address& of) const;
    [[nodiscard]] Bytes code(const Address& of) const;
    [[nodiscard]] Uint256 supply() const { return view_.supply(); }
    [[nodiscard]] uint64_t number() const { return number_; }
    [[nodiscard]] uint64_t timestamp() const { return timestamp_; }
    [[nodiscard]] uint64_t chain_id() const { return config_.chain_id; }
    [[nodiscard]] const Address& address(const std::string& contract) const {
        return addresses_.at(contract);
    }

private:
    [[nodiscard]] Sent execute(const Address& from, const Address& to, const Bytes& data,
                               const Uint256& value, bool keep);

    MemoryView view_;
    vm::CodeCache codes_;
    consensus::ChainConfig config_;
    std::map<std::string, Address> addresses_;
    uint64_t number_ = 0;
    uint64_t parent_view_ = 0;
    uint64_t timestamp_ = 1'700'000'000;
};

/// Who a test calls by name: the last 20 bytes of keccak(name).
[[nodiscard]] Address actor(std::string_view name);

enum class Duty : uint8_t { consensus, vrf, p2p };
/// The keys of a validator of this chain, genesis' and later ones alike.
[[nodiscard]] SecretKey duty_key(const Address& operator_address, Duty duty);
[[nodiscard]] PublicKey duty_public(const Address& operator_address, Duty duty);

inline const Uint256 kCoin = 1'000'000'000'000'000'000;

}  // namespace trainyard::contracts
