// SPDX-License-Identifier: Apache-2.0
// From a JSON value to a value of ours; errors are texts that go behind "invalid argument N: ".
#pragma once

#include <string>
#include <vector>

#include "rpc/params.hpp"

#include <boost/json/value.hpp>

namespace trainyard::rpc {

template <class T>
using Decoded = Result<T, std::string>;

inline constexpr size_t kTopicsMax = 4;
inline constexpr size_t kTopicChoicesMax = 1000;  ///< per position, as geth
inline constexpr size_t kAddressesMax = 1000;     ///< as geth
inline constexpr size_t kSlotsMax = 1024;
inline constexpr size_t kOverridesMax = 1000;
inline constexpr size_t kPercentilesMax = 100;
inline constexpr size_t kWithdrawalsMax = 16;  ///< in a block, EIP-4895
inline constexpr size_t kBlocksOfSimulationMax =
    10'000;                                         ///< more than 256 have an error of their own
inline constexpr size_t kCallsOfBlockMax = 10'000;  ///< eth_simulateV1; more do not fit its gas

[[nodiscard]] Decoded<std::string_view> decode_text(const boost::json::value& json);
[[nodiscard]] Decoded<Bytes> decode_data(const boost::json::value& json);
[[nodiscard]] Decoded<Address> decode_address(const boost::json::value& json);
[[nodiscard]] Decoded<Hash> decode_hash(const boost::json::value& json);
[[nodiscard]] Decoded<Uint256> decode_quantity256(const boost::json::value& json);
[[nodiscard]] Decoded<uint64_t> decode_quantity(const boost::json::value& json);
[[nodiscard]] Decoded<uint64_t> decode_count(const boost::json::value& json);
[[nodiscard]] Decoded<Uint256> decode_slot(const boost::json::value& json);
[[nodiscard]] Decoded<std::vector<Uint256>> decode_slots(const boost::json::value& json);
[[nodiscard]] Decoded<std::vector<ProofKey>> decode_proof_keys(const boost::json::value& json);
[[nodiscard]] Decoded<BlockId> decode_block_number(const boost::json::value& json);
[[nodiscard]] Decoded<BlockId> decode_block(const boost::json::value& json);
[[nodiscard]] Decoded<std::vector<double>> decode_percentiles(const boost::json::value& json);
[[nodiscard]] Decoded<SlotsByAccount> decode_slots_by_account(const boost::json::value& json);

// decode_objects.cpp
[[nodiscard]] Decoded<CallRequest> decode_call(const boost::json::value& json);
[[nodiscard]] Decoded<StateOverrides> decode_state_overrides(const boost::json::value& json);
[[nodiscard]] Decoded<BlockOverrides> decode_block_overrides(const boost::json::value& json);
[[nodiscard]] Decoded<LogFilter> decode_log_filter(const boost::json::value& json);

// decode_runs.cpp
[[nodiscard]] Decoded<TraceRequest> decode_trace(const boost::json::value& json);
[[nodiscard]] Decoded<SimulateRequest> decode_simulation(const boost::json::value& json);

}  // namespace trainyard::rpc
