// SPDX-License-Identifier: Apache-2.0
// ABI types of the market's structs and their conversion: private to node/wallet.
#pragma once

#include "node/wallet/abi.hpp"
#include "node/wallet/market.hpp"
#include "node/wallet/models.hpp"

namespace trainyard::node::wallet {

inline constexpr std::string_view kJobSpecType =
    "(bytes32,bytes32,bytes32,bytes32,uint32,uint32,uint32,uint64,uint64,uint256,uint256,uint64,"
    "address,string)";
inline constexpr std::string_view kJobType =
    "(address,address,uint8,uint8,uint32,uint32,uint32,uint64,bytes32,uint256,bytes32,uint256)";
inline constexpr std::string_view kParamsType =
    "(uint8,uint8,uint8,uint8,uint8,uint8,uint8,uint16,uint16,uint16,uint16,uint16,uint16,uint32,"
    "uint64,uint64,uint64,uint64,uint64,uint64,uint64,uint64,uint64,uint64,uint64,uint256)";
inline constexpr std::string_view kSegmentType =
    "(uint8,address,uint32,uint32,bytes32,bytes32,bytes32,bytes32,bytes32,bytes32,uint64,uint64,"
    "uint64,uint8,uint32)";
inline constexpr std::string_view kDisputeType =
    "(address,uint8,uint8,uint8,uint64,uint256,bytes32)";
inline constexpr std::string_view kUnitOpeningType =
    "(uint32,uint32,uint32,bytes32,bytes32[],bytes32,uint32,uint32,uint8,bytes32[])";
inline constexpr std::string_view kProviderType =
    "(string,string,string,uint256,uint256,uint256,uint64,bool)";
inline constexpr std::string_view kModelRecordType =
    "(uint256,bytes32,bytes32,bytes32,bytes32,bytes32,bytes32,uint32,uint32,address[],string)";

[[nodiscard]] AbiValue to_abi(const JobSpec& spec);
[[nodiscard]] AbiValue to_abi(const UnitOpening& opening);
[[nodiscard]] AbiValue to_abi(const std::vector<Hash>& hashes);
[[nodiscard]] JobSpec job_spec_from(const AbiValue& value);
[[nodiscard]] Job job_from(const AbiValue& value);
[[nodiscard]] Segment segment_from(const AbiValue& value);
[[nodiscard]] Dispute dispute_from(const AbiValue& value);
[[nodiscard]] training::AuditLimits audit_limits_from(const AbiValue& params);
[[nodiscard]] MarketTerms market_terms_from(const AbiValue& params);
[[nodiscard]] ModelRecord model_record_from(const AbiValue& value);

/// Selector and arguments; `signature` is "name(types)". Precondition: the arguments fit the types.
[[nodiscard]] Bytes call_data(std::string_view signature, std::vector<AbiValue> arguments);

}  // namespace trainyard::node::wallet
