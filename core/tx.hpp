// SPDX-License-Identifier: Apache-2.0
// Ledger transactions of types 0 to 4: their fields, encoding, hashes and signers.
#pragma once

#include <optional>
#include <vector>

#include "core/bytes.hpp"
#include "core/keys.hpp"
#include "core/result.hpp"
#include "core/uint256.hpp"

namespace trainyard {

enum class TxType : uint8_t {
    legacy = 0,
    access_list = 1,  ///< EIP-2930
    dynamic_fee = 2,  ///< EIP-1559
    blob = 3,         ///< EIP-4844
    set_code = 4,     ///< EIP-7702
};

struct AccessTuple {
    Address address;
    std::vector<Hash> storage_keys;
    bool operator==(const AccessTuple&) const = default;
};

/// EIP-7702 authorisation; fields are as wide as the EIP lets them be on the wire.
struct Authorization {
    Uint256 chain_id;
    Address address;
    uint64_t nonce = 0;
    uint8_t y_parity = 0;
    Uint256 r, s;
    bool operator==(const Authorization&) const = default;
};

struct Tx {
    TxType type = TxType::legacy;
    std::optional<uint64_t> chain_id;  ///< absent only in a legacy transaction from before EIP-155
    uint64_t nonce = 0;
    Uint256 max_priority_fee_per_gas;  ///< the gas price in types 0 and 1
    Uint256 max_fee_per_gas;           ///< the gas price in types 0 and 1
    uint64_t gas_limit = 0;
    std::optional<Address> to;  ///< absent: create a contract
    Uint256 value;
    Bytes data;
    std::vector<AccessTuple> access_list;
    Uint256 max_fee_per_blob_gas;
    std::vector<Hash> blob_hashes;
    std::vector<Authorization> authorizations;
    uint8_t y_parity = 0;
    Uint256 r, s;
    bool operator==(const Tx&) const = default;
};

enum class TxError {
    malformed,      ///< not canonical RLP, or a field of the wrong kind or size
    unknown_type,   ///< a type byte that is none of 0..4
    bad_signature,  ///< r, s or parity out of range, high s (EIP-2), or no such point
    wrong_chain,    ///< v of a legacy transaction that fits no 64-bit chain id
};

/// Decodes the EIP-2718 envelope (as in eth_sendRawTransaction and in blocks).
[[nodiscard]] Result<Tx, TxError> decode_tx(BytesView encoded);
[[nodiscard]] Bytes encode_tx(const Tx& tx);
[[nodiscard]] Hash hash_tx(const Tx& tx);
/// What the sender signs.
[[nodiscard]] Hash signing_hash(const Tx& tx);
[[nodiscard]] Result<Address, TxError> recover_sender(const Tx& tx);
/// The account that signed an EIP-7702 authorisation: keccak(05 | rlp(chain_id, address, nonce)).
[[nodiscard]] std::optional<Address> recover_authority(const Authorization& authorization);
/// Fills in the signature fields.
void sign_tx(Tx& tx, const SecretKey& key);

[[nodiscard]] std::string_view to_text(TxError error);

}  // namespace trainyard
