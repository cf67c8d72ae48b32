// SPDX-License-Identifier: Apache-2.0
// The forks of the protocol and, as named flags and numbers, what each changed outside the opcode
// table.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace trainyard::vm {

enum class Revision : uint8_t {
    frontier,
    homestead,
    tangerine_whistle,
    spurious_dragon,
    byzantium,
    constantinople,
    petersburg,
    istanbul,
    berlin,
    london,
    paris,
    shanghai,
    cancun,
    prague,
    osaka,
};
inline constexpr size_t kRevisionCount = 15;

/// How SSTORE is priced. Sources: Yellow Paper appendix G, EIP-1283, EIP-2200, EIP-2929, EIP-3529.
struct StorePrices {
    bool net_metered = false;  ///< EIP-1283, EIP-2200: a dirty slot costs only an access
    int64_t dirty = 5000;      ///< a slot already written in this transaction
    int64_t set = 20000;       ///< zero to non-zero
    int64_t reset = 5000;      ///< non-zero to anything
    int64_t clear_refund = 15000;
    bool operator==(const StorePrices&) const = default;
};

/// How the difficulty follows from the parent's, until the Merge. Source: consensus/rules/work.hpp.
enum class DifficultyFormula : uint8_t { frontier, eip2, eip100 };

enum class ModexpPrices : uint8_t { eip198, eip2565, eip7883 };

/// One flag per rule. The opcodes themselves are in vm/opcodes.hpp.
struct Rules {
    Revision revision = Revision::frontier;
    bool create_pays_for_code;      ///< EIP-2: too little gas to store the code fails the creation
    bool create_tx_costs_more;      ///< EIP-2: 32000 on top of 21000
    bool low_s_only;                ///< EIP-2
    bool call_keeps_64th;           ///< EIP-150
    bool replay_protection;         ///< EIP-155
    bool empty_accounts_vanish;     ///< EIP-161
    bool code_size_is_limited;      ///< EIP-170
    bool status_in_receipt;         ///< EIP-658
    bool cheap_call_data;           ///< EIP-2028
    bool store_needs_stipend;       ///< EIP-2200: SSTORE fails at 2300 gas or less
    bool access_is_warm_or_cold;    ///< EIP-2929
    bool access_list_tx;            ///< EIP-2930
    bool fee_market;                ///< EIP-1559
    bool small_refunds;             ///< EIP-3529: at most a fifth; none for SELFDESTRUCT
    bool code_must_not_start_ef;    ///< EIP-3541
    bool prev_randao;               ///< EIP-4399
    bool warm_coinbase;             ///< EIP-3651
    bool init_code_is_metered;      ///< EIP-3860
    bool withdrawals;               ///< EIP-4895
    bool blob_tx;                   ///< EIP-4844
    bool beacon_root_contract;      ///< EIP-4788
    bool selfdestruct_only_new;     ///< EIP-6780
    bool history_contract;          ///< EIP-2935
    bool call_data_floor;           ///< EIP-7623
    bool requests;                  ///< EIP-7685
    bool set_code_tx;               ///< EIP-7702
    bool modexp_is_bounded;         ///< EIP-7823
    bool tx_gas_is_capped;          ///< EIP-7825
    bool blob_fee_has_floor;        ///< EIP-7918
    bool blob_count_per_tx_capped;  ///< EIP-7594
    bool block_size_is_capped;      ///< EIP-7934
    ModexpPrices modexp_prices;
    DifficultyFormula difficulty;
    uint8_t block_reward_ether;  ///< EIP-649, EIP-1234; none from the Merge on
    StorePrices store;
};

/// True if `revision` is `since` or later.
[[nodiscard]] constexpr bool is_at_least(Revision revision, Revision since) {
    return static_cast<uint8_t>(revision) >= static_cast<uint8_t>(since);
}

namespace detail {
constexpr StorePrices store_prices(Revision r) {
    if (is_at_least(r, Revision::london)) return {true, 100, 20000, 2900, 4800};
    if (is_at_least(r, Revision::berlin)) return {true, 100, 20000, 2900, 15000};
    if (is_at_least(r, Revision::istanbul)) return {true, 800, 20000, 5000, 15000};
    if (r == Revision::constantinople) return {true, 200, 20000, 5000, 15000};
    return {};
}

constexpr Rules make_rules(Revision r) {
    const auto since = [r](Revision first) { return is_at_least(r, first); };
    const bool homestead = since(Revision::homestead), byzantium = since(Revision::byzantium),
               constantinople = since(Revision::constantinople), paris = since(Revision::paris),
               spurious = since(Revision::spurious_dragon), istanbul = since(Revision::istanbul),
               berlin = since(Revision::berlin), london = since(Revision::london),
               shanghai = since(Revision::shanghai), cancun = since(Revision::cancun),
               prague = since(Revision::prague), osaka = since(Revision::osaka);
    return {
        .revision = r,
        .create_pays_for_code = homestead,
        .create_tx_costs_more = homestead,
        .low_s_only = homestead,
        .call_keeps_64th = since(Revision::tangerine_whistle),
        .replay_protection = spurious,
        .empty_accounts_vanish = spurious,
        .code_size_is_limited = spurious,
        .status_in_receipt = byzantium,
        .cheap_call_data = istanbul,
        .store_needs_stipend = istanbul,
        .access_is_warm_or_cold = berlin,
        .access_list_tx = berlin,
        .fee_market = london,
        .small_refunds = london,
        .code_must_not_start_ef = london,
        .prev_randao = paris,
        .warm_coinbase = shanghai,
        .init_code_is_metered = shanghai,
        .withdrawals = shanghai,
        .blob_tx = cancun,
        .beacon_root_contract = cancun,
        .selfdestruct_only_new = cancun,
        .history_contract = prague,
        .call_data_floor = prague,
        .requests = prague,
        .set_code_tx = prague,
        .modexp_is_bounded = osaka,
        .tx_gas_is_capped = osaka,
        .blob_fee_has_floor = osaka,
        .blob_count_per_tx_capped = osaka,
        .block_size_is_capped = osaka,
        .modexp_prices = osaka    ? ModexpPrices::eip7883
                         : berlin ? ModexpPrices::eip2565
                                  : ModexpPrices::eip198,
        .difficulty = byzantium   ? DifficultyFormula::eip100
                      : homestead ? DifficultyFormula::eip2
                                  : DifficultyFormula::frontier,
        .block_reward_ether = static_cast<uint8_t>(paris            ? 0
                                                   : constantinople ? 2
                                                   : byzantium      ? 3
                                                                    : 5),
        .store = store_prices(r),
    };
}

constexpr std::array<Rules, kRevisionCount> make_all_rules() {
    std::array<Rules, kRevisionCount> all{};
    for (size_t i = 0; i < kRevisionCount; ++i) all[i] = make_rules(static_cast<Revision>(i));
    return all;
}
}  // namespace detail

inline constexpr std::array<Rules, kRevisionCount> kRules = detail::make_all_rules();

[[nodiscard]] constexpr const Rules& rules_of(Revision r) {
    return kRules[static_cast<size_t>(r)];
}

// Numbers that no fork in this list changed.
inline constexpr int64_t kMemoryWordGas = 3;
inline constexpr int64_t kCopyWordGas = 3;
inline constexpr int64_t kHashWordGas = 6;
inline constexpr int64_t kInitCodeWordGas = 2;    ///< EIP-3860
inline constexpr int64_t kCodeByteGas = 200;      ///< storing one byte of new code
inline constexpr int64_t kWarmAccessGas = 100;    ///< EIP-2929
inline constexpr int64_t kColdAccountGas = 2600;  ///< EIP-2929
inline constexpr int64_t kColdSlotGas = 2100;     ///< EIP-2929
inline constexpr int64_t kCallValueGas = 9000;
inline constexpr int64_t kCallStipend = 2300;
inline constexpr int64_t kNewAccountGas = 25000;
inline constexpr int64_t kSelfdestructRefund = 24000;  ///< until EIP-3529
inline constexpr size_t kCodeSizeMax = 24576;          ///< EIP-170, bytes
inline constexpr size_t kInitCodeSizeMax = 49152;      ///< EIP-3860, bytes
inline constexpr int kDepthMax = 1024;
inline constexpr int kStackSizeMax = 1024;

}  // namespace trainyard::vm
