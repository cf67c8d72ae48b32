// SPDX-License-Identifier: Apache-2.0
// System calls and the list of requests.
#include "consensus/transition/system.hpp"

#include "consensus/bft/seal.hpp"
#include "consensus/transition/block.hpp"
#include "core/hash.hpp"
#include "vm/arithmetic.hpp"

namespace trainyard::consensus {
namespace {

/// keccak256("DepositEvent(bytes,bytes,bytes,bytes,bytes)"), EIP-6110.
constexpr std::string_view kDepositTopic =
    "649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5";

/// nullopt where there is no such contract.
std::optional<vm::CallResult> call_system(Evm& evm, const Address& to, BytesView input) {
    World& world = evm.world();
    if (world.account(to).code_hash == kEmptyCodeHash) return std::nullopt;
    evm.begin(kSystemAddress, 0);
    vm::Message message;
    message.gas = kSystemCallGas;
    message.sender = kSystemAddress;
    message.recipient = to;
    message.code_address = to;
    message.input = input;
    auto result = evm.call(message);
    world.end_transaction();
    return result;
}

Bytes beacon_input(uint64_t number, const Hash& parent_randao, uint64_t mini_epoch_length) {
    const Hash epoch = to_hash(Uint256((number - 1) / mini_epoch_length - 1));
    Bytes input(epoch.begin(), epoch.end());
    append(input, parent_randao.bytes);
    return input;
}

/// view | parent's view, zero where the epoch begins | parent's beacon. Empty: no seal.
Bytes staking_input(const Header& header, const Header& parent) {
    const auto seal = bft::decode_seal(header.extra_data);
    if (!seal) return {};
    const auto parent_seal = bft::decode_seal(parent.extra_data);
    const bool same_epoch = parent.number > 0 && parent_seal && parent_seal->epoch == seal->epoch;
    Bytes input;
    append(input, to_hash(Uint256(seal->view.value)).bytes);
    append(input, to_hash(Uint256(same_epoch ? parent_seal->view.value : 0)).bytes);
    append(input, parent.prev_randao.bytes);
    return input;
}

Result<Done, BlockFault> tell(Evm& evm, const Address& contract, BytesView input) {
    const auto told = call_system(evm, contract, input);
    if (told && told->status != vm::Status::success)
        return unexpected(BlockFault::system_call_failed);
    return Done{};
}

Result<Done, BlockFault> tell_staking(Evm& evm, const Header& header, const Header& parent) {
    const auto& account = evm.world().account(address::kStaking);
    if (account.code_hash == kEmptyCodeHash) return Done{};
    const Bytes input = staking_input(header, parent);
    if (input.empty()) return unexpected(BlockFault::bad_seal);
    return tell(evm, address::kStaking, input);
}

/// One field of a deposit's data: head word at `head`, then length and bytes. Empty unless as
/// expected.
BytesView deposit_field(BytesView data, size_t head, uint64_t offset, uint64_t size) {
    if (vm::load_word(data.data() + head) != Uint256(offset)) return {};
    if (vm::load_word(data.data() + offset) != Uint256(size)) return {};
    return data.subspan(offset + 32, size);
}

/// public key 48 | withdrawal credentials 32 | amount 8 | signature 96 | index 8
bool append_deposit(Bytes& to, BytesView data) {
    constexpr size_t kDataSize = 576;
    constexpr uint64_t kOffsets[] = {160, 256, 320, 384, 512}, kSizes[] = {48, 32, 8, 96, 8};
    if (data.size() != kDataSize) return false;
    for (size_t i = 0; i < 5; ++i) {
        const BytesView field = deposit_field(data, 32 * i, kOffsets[i], kSizes[i]);
        if (field.empty()) return false;
        append(to, field);
    }
    return true;
}

Result<Bytes, BlockFault> deposits_of(const Evm& evm, const std::vector<Receipt>& receipts) {
    const auto topic = *fixed_from_hex<Hash>(kDepositTopic);
    Bytes deposits;
    for (const auto& receipt : receipts)
        for (const auto& log : receipt.logs) {
            if (log.address != evm.context().config.deposit_contract) continue;
            if (log.topics.empty() || log.topics[0] != topic) continue;
            if (!append_deposit(deposits, log.data)) return unexpected(BlockFault::bad_deposit);
        }
    return deposits;
}

Result<Bytes, BlockFault> ask_contract(Evm& evm, const Address& contract) {
    auto result = call_system(evm, contract, {});
    if (!result) return unexpected(BlockFault::system_contract_missing);
    if (result->status != vm::Status::success) return unexpected(BlockFault::system_call_failed);
    return std::move(result->output);
}

void hash_request(Sha256& list, uint8_t type, const Bytes& data) {
    if (data.empty()) return;
    Sha256 item;
    item.update(BytesView(&type, 1)).update(data);
    list.update(item.finish().bytes);
}

}  // namespace

bool tells_beacon(uint64_t number, const ChainConfig& config) {
    return config.beacon_contract && number > 1 && (number - 1) % config.mini_epoch_length == 0;
}

Result<Done, BlockFault> begin_unsealed_block(Evm& evm, const Header& header,
                                              const Header& parent) {
    const auto& config = evm.context().config;
    if (evm.rules().beacon_root_contract && header.parent_beacon_block_root)
        (void)call_system(evm, address::kBeaconRoots, header.parent_beacon_block_root->bytes);
    if (evm.rules().history_contract)
        (void)call_system(evm, address::kHistory, header.parent_hash.bytes);
    if (tells_beacon(header.number, config)) {
        const auto input =
            beacon_input(header.number, parent.prev_randao, config.mini_epoch_length);
        if (auto told = tell(evm, kBeaconAddress, input); !told) return told;
    }
    return Done{};
}

Result<Done, BlockFault> begin_block(Evm& evm, const Header& header, const Header& parent) {
    if (auto begun = begin_unsealed_block(evm, header, parent); !begun) return begun;
    if (evm.context().config.staking_contract) return tell_staking(evm, header, parent);
    return Done{};
}

void apply_withdrawals(World& world, const std::vector<Withdrawal>& withdrawals) {
    constexpr uint64_t kWeiPerGwei = 1'000'000'000;
    for (const auto& w : withdrawals)
        world.add_balance(world.account(w.address), Uint256(w.amount_gwei) * kWeiPerGwei);
    world.end_transaction();
}

void apply_rewards(World& world, const std::vector<Reward>& rewards) {
    for (const auto& reward : rewards) world.add_balance(world.account(reward.who), reward.wei);
    world.end_transaction();
}

Result<Hash, BlockFault> collect_requests(Evm& evm, const std::vector<Receipt>& receipts) {
    Sha256 list;
    if (!evm.context().config.execution_requests) return list.finish();
    const auto deposits = deposits_of(evm, receipts);
    if (!deposits) return unexpected(deposits.error());
    const auto withdrawals = ask_contract(evm, address::kWithdrawalRequests);
    if (!withdrawals) return unexpected(withdrawals.error());
    const auto consolidations = ask_contract(evm, address::kConsolidationRequests);
    if (!consolidations) return unexpected(consolidations.error());
    hash_request(list, 0, *deposits);
    hash_request(list, 1, *withdrawals);
    hash_request(list, 2, *consolidations);
    return list.finish();
}

}  // namespace trainyard::consensus
