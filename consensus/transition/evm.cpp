// SPDX-License-Identifier: Apache-2.0
// Calls, creations and accesses against the World.
#include "consensus/transition/evm.hpp"

#include <array>
#include <limits>
#include <memory>
#include <mutex>

#include "consensus/rules/block.hpp"
#include "consensus/transition/own_precompiles.hpp"
#include "core/hash.hpp"
#include "core/rlp.hpp"
#include "vm/precompiles.hpp"

namespace trainyard::consensus {

using vm::CallKind;
using vm::CallResult;
using vm::Message;
using vm::Status;

Address create_address(const Address& sender, uint64_t nonce) {
    rlp::Writer out;
    out.begin_list().fixed(sender).number(nonce).end_list();
    const Hash h = keccak256(out.take());
    return *fixed_from<Address>(BytesView(h.bytes).subspan(12));
}

Address create2_address(const Address& sender, const Hash& salt, BytesView init_code) {
    Bytes data = {0xff};
    append(data, sender.bytes);
    append(data, salt.bytes);
    append(data, keccak256(init_code).bytes);
    const Hash h = keccak256(data);
    return *fixed_from<Address>(BytesView(h.bytes).subspan(12));
}

BlockHashes remembered(BlockHashes hashes) {
    constexpr size_t kReach = 256;  // of BLOCKHASH
    struct Memory {
        std::mutex mutex;
        std::array<std::optional<std::pair<uint64_t, Hash>>, kReach> known;
    };
    if (!hashes) return hashes;
    return [hashes = std::move(hashes), memory = std::make_shared<Memory>()](uint64_t number) {
        const std::lock_guard lock(memory->mutex);
        auto& known = memory->known[number % kReach];
        if (!known || known->first != number) known.emplace(number, hashes(number));
        return known->second;
    };
}

BlockEnv env_of(const Header& header, const ChainConfig& config) {
    const auto& fork = config.fork_at(header.number, header.timestamp);
    BlockEnv env;
    env.number = header.number;
    env.timestamp = header.timestamp;
    env.gas_limit = header.gas_limit;
    env.beneficiary = config.staking_contract ? address::kStaking : header.beneficiary;
    env.base_fee = header.base_fee_per_gas.value_or(Uint256());
    env.prev_randao =
        vm::rules_of(fork.revision).prev_randao ? from_hash(header.prev_randao) : header.difficulty;
    env.blob_base_fee = blob_base_fee(header.excess_blob_gas.value_or(0), fork.blobs);
    return env;
}

BlockEnv env_after(const Header& parent, uint64_t timestamp, const ChainConfig& config) {
    BlockEnv env = env_of(parent, config);
    env.number = parent.number + 1;
    env.timestamp = timestamp;
    env.base_fee = next_base_fee(parent, timestamp, config);
    env.blob_base_fee = blob_base_fee(next_excess_blob_gas(parent, timestamp, config),
                                      config.fork_at(env.number, timestamp).blobs);
    return env;
}

Evm::Evm(World& world, const ExecutionContext& context)
    : world_(world),
      context_(context),
      rules_(context.rules()),
      interpreter_(rules_.revision, context.tracer, context.watch) {
    const BlockEnv& env = context.env;
    tx_.coinbase = env.beneficiary;
    tx_.number = env.number;
    tx_.timestamp = env.timestamp;
    tx_.gas_limit = env.gas_limit;
    tx_.prev_randao = env.prev_randao;
    tx_.chain_id = context.config.chain_id;
    tx_.base_fee = env.base_fee;
    tx_.blob_base_fee = env.blob_base_fee;
}

void Evm::begin(const Address& origin, const Uint256& gas_price, std::vector<Hash> blob_hashes) {
    tx_.origin = origin;
    tx_.gas_price = gas_price;
    tx_.blob_hashes = std::move(blob_hashes);
    if (!rules_.access_is_warm_or_cold) return;
    world_.warm(world_.entry(origin));
    if (rules_.warm_coinbase) world_.warm(world_.entry(tx_.coinbase));
}

CallResult Evm::call(const Message& message) {
    if (message.kind == CallKind::create || message.kind == CallKind::create2)
        return enter_create(message);
    if (interpreter_.tracer() != nullptr) interpreter_.tracer()->on_enter(message);
    CallResult result = enter_call(message);
    if (interpreter_.tracer() != nullptr) interpreter_.tracer()->on_exit(result);
    return result;
}

void Evm::transfer(const Message& message) {
    AccountEntry& to = world_.account(message.recipient);
    if (message.value.is_zero()) {
        world_.touch(to);
        return;
    }
    AccountEntry& from = world_.account(message.sender);
    world_.set_balance(from, from.balance - message.value);
    world_.add_balance(to, message.value);
}

std::optional<Address> Evm::precompile_at(const Address& address) const {
    if (context_.moved != nullptr) {
        const auto moved = context_.moved->find(address);
        if (moved != context_.moved->end()) return moved->second;
    }
    return vm::is_precompile(address, rules_.revision) ? std::optional(address) : std::nullopt;
}

/// The market is itself only when its code calls, on the state of the chain: `from` of an eth_call
/// is anybody's choice, and so are code and storage under overrides.
Caller Evm::caller_of(const Message& message) const {
    const bool is_market = message.kind == CallKind::call && message.depth > 0 &&
                           message.sender == address::kMarket && context_.moved == nullptr;
    return is_market ? Caller::market : Caller::anyone;
}

CallResult Evm::run_code(const Message& message) {
    // EIP-7702: a delegation to a precompile runs nothing.
    if (!message.is_delegated) {
        const ChainConfig& config = context_.config;
        if (const auto precompile = precompile_at(message.code_address))
            return vm::run_precompile(*precompile, rules_.revision, message.input, message.gas);
        if (is_own_precompile(message.code_address, config))
            return run_own_precompile(message.code_address, config, message.input, message.gas,
                                      caller_of(message));
    }
    const auto code = world_.code_of(world_.account(message.code_address));
    if (code->size() == 0) return {Status::success, message.gas, 0, {}, {}};
    return interpreter_.run(*this, message, *code);
}

CallResult Evm::enter_call(const Message& message) {
    const auto before = world_.snapshot();
    if (message.kind == CallKind::call) transfer(message);
    CallResult result = run_code(message);
    if (result.status != Status::success) world_.roll_back(before);
    return result;
}

CallResult Evm::enter_create(const Message& message) {
    AccountEntry& sender = world_.account(message.sender);
    if (sender.nonce == std::numeric_limits<uint64_t>::max())
        return {Status::nonce_overflow, message.gas, 0, {}, {}};
    const Address address = message.kind == CallKind::create2
                                ? create2_address(message.sender, message.salt, message.input)
                                : create_address(message.sender, sender.nonce);
    world_.set_nonce(sender, sender.nonce + 1);
    return create_at(message, address);
}

CallResult Evm::create_at(const Message& message, const Address& address) {
    vm::Tracer* const tracer = interpreter_.tracer();
    if (tracer == nullptr) return initialize(message, address);
    Message named = message;
    named.recipient = address;
    tracer->on_enter(named);
    CallResult result = initialize(message, address);
    tracer->on_exit(result);
    return result;
}

CallResult Evm::initialize(const Message& message, const Address& address) {
    AccountEntry& created = world_.account(address);
    if (rules_.access_is_warm_or_cold) world_.warm(created);
    if (created.nonce != 0 || created.code_hash != kEmptyCodeHash || world_.has_storage(created))
        return {Status::address_collision, 0, 0, {}, {}};
    const auto before = world_.snapshot();
    world_.mark_created(created);
    if (rules_.empty_accounts_vanish) world_.set_nonce(created, 1);
    Message inner = message;
    inner.recipient = address;
    inner.code_address = address;
    inner.input = {};
    transfer(inner);
    CallResult result{Status::success, message.gas, 0, {}, {}};
    if (!message.input.empty()) {
        const vm::Code code(message.input);
        result = interpreter_.run(*this, inner, code);
    }
    if (result.status == Status::success) result = deploy(std::move(result), created);
    if (result.status != Status::success) world_.roll_back(before);
    return result;
}

/// Stores what the init code returned (EIP-2, EIP-170, EIP-3541).
CallResult Evm::deploy(CallResult result, AccountEntry& created) {
    result.created = created.address;
    const auto fail = [](Status status) { return CallResult{status, 0, 0, {}, {}}; };
    if (rules_.code_size_is_limited && result.output.size() > vm::kCodeSizeMax)
        return fail(Status::code_too_large);
    if (rules_.code_must_not_start_ef && !result.output.empty() && result.output[0] == 0xef)
        return fail(Status::code_starts_with_ef);
    const auto price = vm::kCodeByteGas * static_cast<int64_t>(result.output.size());
    if (price > result.gas_left) {
        if (rules_.create_pays_for_code) return fail(Status::code_out_of_gas);
        result.output.clear();  // Frontier: the account stays, without code
        return result;
    }
    result.gas_left -= price;
    if (!result.output.empty()) world_.set_code(created, std::move(result.output));
    result.output.clear();
    return result;
}

bool Evm::account_exists(const Address& address) {
    return world_.exists(world_.account(address));
}

Uint256 Evm::storage(const Address& address, const Uint256& slot) {
    return world_.slot(world_.account(address), slot).current;
}

vm::StorageStatus Evm::set_storage(const Address& address, const Uint256& key,
                                   const Uint256& value) {
    AccountEntry& account = world_.account(address);
    Slot& slot = world_.slot(account, key);
    const auto status = vm::storage_status(slot.original, slot.current, value);
    world_.set_slot(account, slot, value);
    return status;
}

Uint256 Evm::balance(const Address& address) {
    return world_.account(address).balance;
}

BytesView Evm::code(const Address& address) {
    return world_.code_of(world_.account(address))->bytes();
}

Hash Evm::code_hash(const Address& address) {
    const AccountEntry& account = world_.account(address);
    return account.exists ? account.code_hash : Hash{};
}

std::optional<Address> Evm::delegate_of(const Address& address) {
    return world_.delegate_of(world_.account(address));
}

bool Evm::selfdestruct(const Address& address, const Address& beneficiary) {
    AccountEntry& from = world_.account(address);
    AccountEntry& to = world_.account(beneficiary);
    const Uint256 amount = from.balance;
    if (interpreter_.tracer() != nullptr)
        interpreter_.tracer()->on_selfdestruct(address, beneficiary, amount);
    const bool destroys = !rules_.selfdestruct_only_new || world_.is_created_now(from);
    world_.touch(to);
    if (&from != &to) {
        world_.add_balance(to, amount);
        world_.set_balance(from, 0);
    } else if (destroys) {
        world_.set_balance(from, 0);
    }
    if (!destroys || world_.is_destructed_now(from)) return false;
    world_.mark_destructed(from);
    return true;
}

Hash Evm::block_hash(uint64_t number) {
    return context_.hashes ? context_.hashes(number) : Hash{};
}

void Evm::log(const Address& address, BytesView data, std::span<const Hash> topics) {
    if (interpreter_.tracer() != nullptr) interpreter_.tracer()->on_log(address, data, topics);
    world_.log({address, {topics.begin(), topics.end()}, {data.begin(), data.end()}});
}

vm::Access Evm::access_account(const Address& address) {
    // EIP-2929: precompiles are warm from the start.
    if (vm::is_precompile(address, rules_.revision)) return vm::Access::warm;
    if (is_own_precompile(address, context_.config)) return vm::Access::warm;
    return world_.warm(world_.entry(address));
}

vm::Access Evm::access_storage(const Address& address, const Uint256& slot) {
    return world_.warm(world_.slot(world_.account(address), slot));
}

Uint256 Evm::transient_storage(const Address& address, const Uint256& slot) {
    return world_.transient(address, slot);
}

void Evm::set_transient_storage(const Address& address, const Uint256& slot, const Uint256& value) {
    world_.set_transient(address, slot, value);
}

}  // namespace trainyard::consensus
