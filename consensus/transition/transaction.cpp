// SPDX-License-Identifier: Apache-2.0
// Buying gas, authorisations, the call, refunds and fees, in the order of Yellow Paper section 6.
#include "consensus/transition/transaction.hpp"

#include <algorithm>
#include <limits>

namespace trainyard::consensus {
namespace {

constexpr int64_t kAuthorizationRefund = 12500;  // EIP-7702: PER_EMPTY_ACCOUNT - PER_AUTH_BASE

SenderState sender_state(World& world, const Address& sender) {
    AccountEntry& account = world.account(sender);
    const bool has_code = account.code_hash != kEmptyCodeHash && !world.delegate_of(account);
    return {account.nonce, account.balance, has_code};
}

/// EIP-7702: whether this authorisation takes effect; the authority becomes warm on the way.
bool is_authorized(World& world, const Authorization& a, AccountEntry& authority) {
    world.warm(authority);
    if (authority.code_hash != kEmptyCodeHash && !world.delegate_of(authority)) return false;
    return authority.nonce == a.nonce;
}

Bytes delegation_to(const Address& address) {
    if (address.is_zero()) return {};
    Bytes code = {0xef, 0x01, 0x00};
    append(code, address.bytes);
    return code;
}

/// Sets the delegations and gives the refund for authorities that exist already.
int64_t apply_authorizations(Evm& evm, const Tx& tx) {
    World& world = evm.world();
    const Uint256 chain_id = evm.context().config.chain_id;
    int64_t refund = 0;
    for (const auto& a : tx.authorizations) {
        if (!a.chain_id.is_zero() && a.chain_id != chain_id) continue;
        if (a.nonce == std::numeric_limits<uint64_t>::max()) continue;
        const auto signer = recover_authority(a);
        if (!signer) continue;
        AccountEntry& authority = world.account(*signer);
        if (!is_authorized(world, a, authority)) continue;
        if (world.exists(authority)) refund += kAuthorizationRefund;
        world.set_code(authority, delegation_to(a.address));
        world.set_nonce(authority, authority.nonce + 1);
    }
    return refund;
}

void warm_access_list(World& world, const Tx& tx) {
    for (const auto& tuple : tx.access_list) {
        AccountEntry& account = world.account(tuple.address);
        world.warm(account);
        for (const auto& key : tuple.storage_keys) world.warm(world.slot(account, from_hash(key)));
    }
}

vm::Message make_message(const Tx& tx, const Address& sender, int64_t gas) {
    vm::Message message;
    message.kind = tx.to ? vm::CallKind::call : vm::CallKind::create;
    message.gas = gas;
    message.sender = sender;
    message.recipient = tx.to.value_or(Address());
    message.code_address = message.recipient;
    message.value = tx.value;
    message.input = tx.data;
    return message;
}

vm::CallResult execute(Evm& evm, const Tx& tx, const Address& sender, int64_t gas) {
    World& world = evm.world();
    vm::Message message = make_message(tx, sender, gas);
    if (tx.to) {
        AccountEntry& to = world.account(*tx.to);
        if (evm.rules().access_is_warm_or_cold) world.warm(to);
        if (evm.rules().set_code_tx) {
            if (const auto delegate = world.delegate_of(to)) {
                message.code_address = *delegate;
                message.is_delegated = true;
                world.warm(world.account(*delegate));
            }
        }
        return evm.call(message);
    }
    return evm.create_at(message, create_address(sender, tx.nonce));
}

struct Bill {
    uint64_t used = 0;
    uint64_t peak = 0;
};

/// EIP-3529 and EIP-7623: refunds up to a part of what was used, never below the floor of the data.
Bill settle(const Tx& tx, const vm::CallResult& result, int64_t refund, const vm::Rules& rules) {
    Bill bill;
    bill.used = tx.gas_limit - static_cast<uint64_t>(result.gas_left);
    bill.peak = bill.used;
    const uint64_t most = bill.used / (rules.small_refunds ? 5 : 2);
    bill.used -= std::min(most, static_cast<uint64_t>(std::max<int64_t>(refund, 0)));
    const uint64_t floor = intrinsic_gas(tx, rules).floor;
    bill.used = std::max(bill.used, floor);
    bill.peak = std::max(bill.peak, floor);
    return bill;
}

/// EIP-1559: the base fee is burned; before London all of the price goes to the beneficiary.
/// Gives the tip if it is left to the caller.
std::optional<Uint256> pay_back_and_tip(Evm& evm, const Tx& tx, const Address& sender,
                                        const Uint256& gas_price, uint64_t gas_used) {
    World& world = evm.world();
    AccountEntry& payer = world.account(sender);
    world.add_balance(payer, gas_price * (tx.gas_limit - gas_used));
    const auto& env = evm.context().env;
    const Uint256 tip = (gas_price - env.base_fee) * gas_used;
    // A transaction that looked at the beneficiary, or was it, has to see its own tip too.
    if (evm.defers_tip() && !world.has_loaded(env.beneficiary)) return tip;
    world.add_balance(world.account(env.beneficiary), tip);
    return std::nullopt;
}

void buy_gas(Evm& evm, const Tx& tx, const Address& sender, const Uint256& gas_price) {
    World& world = evm.world();
    AccountEntry& payer = world.account(sender);
    const Uint256 blob_fee =
        evm.context().env.blob_base_fee * Uint256(tx.blob_hashes.size() * kBlobGas);
    world.set_balance(payer, payer.balance - gas_price * tx.gas_limit - blob_fee);
    world.set_nonce(payer, tx.nonce + 1);
}

}  // namespace

Result<Done, TxInvalid> check_transaction(World& world, const ExecutionContext& context,
                                          const Tx& tx, const Address& sender) {
    if (auto ok = check_tx_shape(tx, context.fork(), context.config); !ok) return ok;
    if (tx.gas_limit > context.env.gas_limit) return unexpected(TxInvalid::gas_above_block_limit);
    const FeeEnv fees{context.env.base_fee, context.env.blob_base_fee};
    if (auto ok = check_tx_fees(tx, context.rules(), fees); !ok) return ok;
    if (auto ok = check_tx_gas(tx, context.rules()); !ok) return ok;
    return check_tx_sender(tx, sender_state(world, sender));
}

TxOutcome run_transaction(Evm& evm, const Tx& tx, const Address& sender) {
    World& world = evm.world();
    TxOutcome out;
    out.gas_price = effective_gas_price(tx, evm.context().env.base_fee);
    evm.begin(sender, out.gas_price, tx.blob_hashes);
    buy_gas(evm, tx, sender, out.gas_price);
    warm_access_list(world, tx);
    int64_t refund = apply_authorizations(evm, tx);
    const uint64_t due = intrinsic_gas(tx, evm.rules()).intrinsic;
    vm::CallResult result = execute(evm, tx, sender, static_cast<int64_t>(tx.gas_limit - due));
    refund += result.gas_refund;
    const Bill bill = settle(tx, result, refund, evm.rules());
    out.tip_owed_wei = pay_back_and_tip(evm, tx, sender, out.gas_price, bill.used);

    out.gas_used = bill.used;
    out.gas_peak = bill.peak;
    out.status = result.status;
    out.output = std::move(result.output);
    if (!tx.to && result.status == vm::Status::success) out.created = result.created;
    out.receipt.type = tx.type;
    out.receipt.success = result.status == vm::Status::success;
    out.receipt.cumulative_gas_used = bill.used;
    out.receipt.logs = world.end_transaction();
    out.receipt.bloom = bloom_of(out.receipt.logs);
    return out;
}

Result<TxOutcome, TxInvalid> apply_transaction(const state::StateView& view,
                                               const ExecutionContext& context, const Tx& tx,
                                               const Address& sender) {
    World world(view, context.rules(), context.codes);
    if (auto ok = check_transaction(world, context, tx, sender); !ok) return unexpected(ok.error());
    Evm evm(world, context);
    TxOutcome out = run_transaction(evm, tx, sender);
    out.diff = world.diff();
    return out;
}

}  // namespace trainyard::consensus
