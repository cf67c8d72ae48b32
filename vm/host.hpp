// SPDX-License-Identifier: Apache-2.0
// How the EVM sees the world: messages in, results out, and the interface it asks for everything
// else.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/uint256.hpp"

namespace trainyard::vm {

/// How a frame ended. Everything but `success` and `revert` consumes all gas of the frame.
enum class Status : uint8_t {
    success,
    revert,
    out_of_gas,
    stack_underflow,
    stack_overflow,
    undefined_instruction,
    invalid_instruction,  ///< the designated 0xfe
    bad_jump,
    static_violation,
    return_data_out_of_bounds,
    init_code_too_large,  ///< EIP-3860
    code_too_large,       ///< EIP-170
    code_starts_with_ef,  ///< EIP-3541
    code_out_of_gas,      ///< no gas left to store the new code (EIP-2)
    address_collision,
    nonce_overflow,        ///< the caller keeps its gas
    call_too_deep,         ///< the caller keeps its gas
    insufficient_balance,  ///< the caller keeps its gas
    precompile_failure,
    out_of_time,  ///< never in a block: a Watch says so
};
[[nodiscard]] std::string_view to_text(Status status);

enum class CallKind : uint8_t { call, delegate_call, call_code, create, create2 };

/// One call or creation. Views must outlive the call.
struct Message {
    CallKind kind = CallKind::call;
    bool is_static = false;
    int depth = 0;
    int64_t gas = 0;
    Address recipient;  ///< whose storage and balance; of a creation: left to the host
    Address sender;
    Address code_address;       ///< whose code runs
    bool is_delegated = false;  ///< EIP-7702 led to `code_address`, which is no precompile then
    Uint256 value;
    BytesView input;  ///< call data, or the init code
    Hash salt;        ///< of CREATE2
};

struct CallResult {
    Status status = Status::success;
    int64_t gas_left = 0;
    int64_t gas_refund = 0;  ///< may be negative within a transaction
    Bytes output;            ///< return or revert data
    Address created;         ///< of a successful creation
};

/// What is the same for a whole transaction.
struct TxContext {
    Uint256 gas_price;
    Address origin;
    Address coinbase;
    uint64_t number = 0;
    uint64_t timestamp = 0;
    uint64_t gas_limit = 0;
    Uint256 prev_randao;  ///< the difficulty before the Merge
    Uint256 chain_id;
    Uint256 base_fee;
    Uint256 blob_base_fee;
    std::vector<Hash> blob_hashes;
};

/// What a write to a slot did, as original (at the start of the transaction) -> current -> new
/// value.
enum class StorageStatus : uint8_t {
    assigned,           ///< no change, or a slot already changed that stays changed
    added,              ///< 0 -> 0 -> Z
    deleted,            ///< X -> X -> 0
    modified,           ///< X -> X -> Z
    deleted_added,      ///< X -> 0 -> Z
    modified_deleted,   ///< X -> Y -> 0
    deleted_restored,   ///< X -> 0 -> X
    added_deleted,      ///< 0 -> Y -> 0
    modified_restored,  ///< X -> Y -> X
};
[[nodiscard]] StorageStatus storage_status(const Uint256& original, const Uint256& current,
                                           const Uint256& value);

enum class Access : bool { cold, warm };

/// The world outside one frame. Implemented over a journal by consensus/transition, by a map in
/// tests.
class Host {
public:
    virtual ~Host() = default;
    /// From EIP-161 on an empty account does not count as existing.
    [[nodiscard]] virtual bool account_exists(const Address& address) = 0;
    [[nodiscard]] virtual Uint256 storage(const Address& address, const Uint256& slot) = 0;
    virtual StorageStatus set_storage(const Address& address, const Uint256& slot,
                                      const Uint256& value) = 0;
    [[nodiscard]] virtual Uint256 balance(const Address& address) = 0;
    /// The code as stored; the view holds until the next call of a method.
    [[nodiscard]] virtual BytesView code(const Address& address) = 0;
    /// Zero if the account does not exist.
    [[nodiscard]] virtual Hash code_hash(const Address& address) = 0;
    /// Where EIP-7702 sends calls of this account; nullopt if it is not delegated.
    [[nodiscard]] virtual std::optional<Address> delegate_of(const Address& address) = 0;
    /// True the first time this account is registered in the transaction.
    virtual bool selfdestruct(const Address& address, const Address& beneficiary) = 0;
    [[nodiscard]] virtual CallResult call(const Message& message) = 0;
    [[nodiscard]] virtual const TxContext& tx_context() = 0;
    /// Zero where the hash is not available; the interpreter has checked the range of 256.
    [[nodiscard]] virtual Hash block_hash(uint64_t number) = 0;
    virtual void log(const Address& address, BytesView data, std::span<const Hash> topics) = 0;
    /// What the account or slot was before this access, which makes it warm (EIP-2929).
    virtual Access access_account(const Address& address) = 0;
    virtual Access access_storage(const Address& address, const Uint256& slot) = 0;
    [[nodiscard]] virtual Uint256 transient_storage(const Address& address,
                                                    const Uint256& slot) = 0;
    virtual void set_transient_storage(const Address& address, const Uint256& slot,
                                       const Uint256& value) = 0;
};

}  // namespace trainyard::vm
