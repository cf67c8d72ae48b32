// SPDX-License-Identifier: Apache-2.0
// Parameters by kind: one strict decoder per kind, used for every method that names it in its table
// row.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "rpc/backend.hpp"
#include "rpc/error.hpp"

#include <boost/json/fwd.hpp>

namespace trainyard::rpc {

enum class Kind {
    none,
    address,
    hash,
    data,              ///< bytes, 0x and an even number of digits
    quantity,          ///< 64-bit, 0x without leading zeros
    count,             ///< quantity, but a JSON number or decimal text will do (eth_feeHistory)
    block,             ///< tag, number, hash or an EIP-1898 object
    block_number,      ///< tag or number
    slot,              ///< at most 32 bytes, leading zeros welcome
    proof_keys,        ///< array of slots
    slots_by_account,  ///< object: address -> array of slots
    boolean,
    text,
    call,  ///< transaction object of eth_call
    state_overrides,
    block_overrides,
    log_filter,
    subscribe_option,  ///< a log filter, or true for whole pending transactions
    percentiles,       ///< ascending numbers from 0 to 100
    trace,             ///< what debug_trace* is to show
    simulation,        ///< the blocks of eth_simulateV1
};

struct Param {
    std::string_view name = {};
    Kind kind = Kind::none;
    bool required = false;
};
inline constexpr size_t kParamsMax = 4;
using ParamList = std::array<Param, kParamsMax>;

/// eth_getLogs and log filters. An empty position of `topics` matches anything.
struct LogFilter {
    std::optional<Hash> block_hash;
    std::optional<BlockId> from, to;
    std::vector<Address> addresses;
    std::vector<std::vector<Hash>> topics;

    [[nodiscard]] uint64_t size_bytes() const {
        uint64_t size = sizeof(LogFilter) + addresses.size() * Address::size();
        for (const auto& choices : topics) size += sizeof(choices) + choices.size() * Hash::size();
        return size;
    }
};

struct SubscribeOption {
    std::optional<LogFilter> filter;  ///< none: it was a boolean
    bool full_txs = false;
};

/// The options of debug_trace*; debug_traceCall alone takes overrides.
struct TraceRequest {
    TraceOptions options;
    Overrides overrides;
};

/// A slot of eth_getProof, which names it in the answer as it was named.
struct ProofKey {
    Uint256 slot;
    bool has_all_bytes = false;  ///< given with all 32, not as a quantity
};

using SlotsByAccount = std::map<Address, std::vector<Uint256>>;

/// The decoded parameters of one call, in the order of its table row.
class Args {
public:
    using Value = std::variant<std::monostate, Address, Hash, Bytes, uint64_t, BlockId, Uint256,
                               std::vector<ProofKey>, SlotsByAccount, bool, std::string,
                               CallRequest, StateOverrides, BlockOverrides, LogFilter,
                               SubscribeOption, std::vector<double>, TraceRequest, SimulateRequest>;

    /// Precondition: the row says that parameter `i` is required and decodes to T.
    template <class T>
    [[nodiscard]] const T& at(size_t i) const {
        return std::get<T>(values_[i]);
    }
    template <class T>
    [[nodiscard]] const T* maybe(size_t i) const {
        return std::get_if<T>(&values_[i]);
    }
    template <class T>
    [[nodiscard]] T value_or(size_t i, T fallback) const {
        const T* value = maybe<T>(i);
        return value ? *value : fallback;
    }

    void set(size_t i, Value value) { values_[i] = std::move(value); }

private:
    std::array<Value, kParamsMax> values_;
};

/// Decodes an array of parameters against a row. Error -32602, naming the argument.
[[nodiscard]] Result<Args, Error> decode_args(const ParamList& row,
                                              const boost::json::array& given);

}  // namespace trainyard::rpc
