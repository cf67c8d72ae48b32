// SPDX-License-Identifier: Apache-2.0
// Reads the views of system contracts: a call at the head, and its answer as JSON by a table of
// fields.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>

#include "rpc/method.hpp"

namespace trainyard::rpc {

/// Where the system contracts stand (docs/spec/genesis.md).
[[nodiscard]] constexpr Address system_contract(uint8_t number) {
    Address out;
    out.bytes[18] = 0x0b;
    out.bytes[19] = number;
    return out;
}
inline constexpr Address kProviderRegistry = system_contract(2);
inline constexpr Address kComputeMarket = system_contract(3);
inline constexpr Address kModelRegistry = system_contract(4);

/// How a word of the answer becomes JSON.
enum class Word {
    quantity,
    address,
    bytes32,
    boolean,
    text,       ///< dynamic: the word is an offset
    addresses,  ///< dynamic: the word is an offset
    loss,       ///< bits of a binary32, as a number
    choice,     ///< an enum, as one of `names`
};
struct Field {
    std::string_view name;
    Word word;
    std::span<const std::string_view> names = {};
};

/// Calls `signature` with static arguments, one word each. The error says which view failed.
[[nodiscard]] Result<Bytes, Error> call_view(const Backend& backend, const Hash& block,
                                             const Address& contract, std::string_view signature,
                                             std::initializer_list<Uint256> arguments);
/// The one number that such a view returns.
[[nodiscard]] Result<uint64_t, Error> call_count(const Backend& backend, const Hash& block,
                                                 const Address& contract,
                                                 std::string_view signature);

/// Writes the members of a returned struct into the object that is open. Contracts are code of
/// others once they are upgraded, so an answer that does not fit is an error and not a crash.
[[nodiscard]] Outcome write_struct(JsonWriter& out, BytesView answer,
                                   std::span<const Field> fields);

}  // namespace trainyard::rpc
