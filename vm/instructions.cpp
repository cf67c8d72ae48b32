// SPDX-License-Identifier: Apache-2.0
// Hashing, copying, environment, storage and logs (Yellow Paper appendix H and the EIPs named).
#include "vm/instructions.hpp"

#include <algorithm>

#include "core/hash.hpp"
#include "vm/arithmetic.hpp"

namespace trainyard::vm {
namespace {

/// What a first access costs beyond the warm price in the opcode table (EIP-2929).
int64_t pay_account_access(Machine& m, const Address& address, int64_t gas) {
    if (!m.rules.access_is_warm_or_cold) return gas;
    if (m.host.access_account(address) == Access::warm) return gas;
    return gas - (kColdAccountGas - kWarmAccessGas);
}

/// Copies source[from, from + size) to memory, zeros where the source has ended.
void copy_padded(uint8_t* to, BytesView source, const Uint256& from, uint64_t size) {
    const uint64_t start =
        from.fits_u64() ? std::min<uint64_t>(from.low(), source.size()) : source.size();
    const uint64_t count = std::min<uint64_t>(size, source.size() - start);
    if (count > 0) std::memcpy(to, source.data() + start, count);
    if (size > count) std::memset(to + count, 0, size - count);
}

/// The price of a copy with destination, source offset and size on the stack.
int64_t pay_copy(Machine& m, const Uint256& to, const Uint256& size, int64_t gas) {
    gas = touch_memory(m, to, size, gas);
    return gas < 0 ? gas : gas - kCopyWordGas * words_of(size.low());
}

Step copy_from(Machine& m, Uint256* top, int64_t gas, BytesView source) {
    gas = pay_copy(m, top[0], top[-2], gas);
    if (gas >= 0 && !top[-2].is_zero())
        copy_padded(m.memory.data() + top[0].low(), source, top[-1], top[-2].low());
    return {gas};
}

struct StoreCost {
    int64_t gas;
    int64_t refund;
};

/// EIP-1283, EIP-2200, EIP-3529; before them every write is priced by its own effect alone.
StoreCost store_cost(const StorePrices& p, StorageStatus status) {
    using enum StorageStatus;
    const bool net = p.net_metered;
    switch (status) {
        case assigned:
            return {p.dirty, 0};
        case added:
            return {p.set, 0};
        case deleted:
            return {p.reset, p.clear_refund};
        case modified:
            return {p.reset, 0};
        case deleted_added:
            return net ? StoreCost{p.dirty, -p.clear_refund} : StoreCost{p.set, 0};
        case modified_deleted:
            return {net ? p.dirty : p.reset, p.clear_refund};
        case deleted_restored:
            return net ? StoreCost{p.dirty, p.reset - p.dirty - p.clear_refund}
                       : StoreCost{p.set, 0};
        case added_deleted:
            return net ? StoreCost{p.dirty, p.set - p.dirty} : StoreCost{p.reset, p.clear_refund};
        case modified_restored:
            return net ? StoreCost{p.dirty, p.reset - p.dirty} : StoreCost{p.reset, 0};
    }
    return {};
}

}  // namespace

Step do_exp(Machine& m, Uint256* top, int64_t gas) {
    // EIP-160 raised the price of an exponent byte from 10 to 50.
    const int64_t byte_gas = m.rules.empty_accounts_vanish ? 50 : 10;
    gas -= byte_gas * ((top[-1].bit_length() + 7) / 8);
    if (gas >= 0) top[-1] = power(top[0], top[-1]);
    return {gas};
}

Step do_keccak256(Machine& m, Uint256* top, int64_t gas) {
    gas = touch_memory(m, top[0], top[-1], gas);
    if (gas < 0) return {gas};
    const uint64_t size = top[-1].low();
    gas -= kHashWordGas * words_of(size);
    if (gas < 0) return {gas};
    const BytesView data =
        size == 0 ? BytesView() : BytesView(m.memory.data() + top[0].low(), size);
    top[-1] = hash_word(keccak256(data));
    return {gas};
}

Step do_balance(Machine& m, Uint256* top, int64_t gas) {
    const Address address = word_address(top[0]);
    gas = pay_account_access(m, address, gas);
    if (gas >= 0) top[0] = m.host.balance(address);
    return {gas};
}

Step do_calldataload(Machine& m, Uint256* top, int64_t gas) {
    uint8_t word[32];
    copy_padded(word, m.message.input, top[0], sizeof(word));
    top[0] = load_word(word);
    return {gas};
}

Step do_calldatacopy(Machine& m, Uint256* top, int64_t gas) {
    return copy_from(m, top, gas, m.message.input);
}

Step do_codecopy(Machine& m, Uint256* top, int64_t gas) {
    return copy_from(m, top, gas, m.code.bytes());
}

Step do_extcodesize(Machine& m, Uint256* top, int64_t gas) {
    const Address address = word_address(top[0]);
    gas = pay_account_access(m, address, gas);
    if (gas >= 0) top[0] = m.host.code(address).size();
    return {gas};
}

Step do_extcodecopy(Machine& m, Uint256* top, int64_t gas) {
    const Address address = word_address(top[0]);
    gas = pay_copy(m, top[-1], top[-3], gas);
    if (gas < 0) return {gas};
    gas = pay_account_access(m, address, gas);
    if (gas >= 0 && !top[-3].is_zero())
        copy_padded(m.memory.data() + top[-1].low(), m.host.code(address), top[-2], top[-3].low());
    return {gas};
}

Step do_returndatacopy(Machine& m, Uint256* top, int64_t gas) {
    gas = pay_copy(m, top[0], top[-2], gas);
    if (gas < 0) return {gas};
    // EIP-211: reading beyond the end is an error, also for zero bytes.
    const uint64_t available = m.return_data.size();
    if (!top[-1].fits_u64() || top[-1].low() > available ||
        top[-2].low() > available - top[-1].low())
        return {gas, Status::return_data_out_of_bounds};
    if (!top[-2].is_zero())
        std::memcpy(m.memory.data() + top[0].low(), m.return_data.data() + top[-1].low(),
                    top[-2].low());
    return {gas};
}

Step do_extcodehash(Machine& m, Uint256* top, int64_t gas) {
    const Address address = word_address(top[0]);
    gas = pay_account_access(m, address, gas);
    if (gas < 0) return {gas};
    top[0] = m.host.account_exists(address) ? hash_word(m.host.code_hash(address)) : Uint256();
    return {gas};
}

Step do_blockhash(Machine& m, Uint256* top, int64_t gas) {
    const uint64_t now = m.host.tx_context().number;
    const bool in_range = top[0].fits_u64() && top[0].low() < now && now - top[0].low() <= 256;
    top[0] = in_range ? hash_word(m.host.block_hash(top[0].low())) : Uint256();
    return {gas};
}

Step do_blobhash(Machine& m, Uint256* top, int64_t gas) {
    const auto& hashes = m.host.tx_context().blob_hashes;
    top[0] = top[0] < Uint256(hashes.size()) ? hash_word(hashes[top[0].low()]) : Uint256();
    return {gas};
}

Step do_sload(Machine& m, Uint256* top, int64_t gas) {
    if (m.rules.access_is_warm_or_cold &&
        m.host.access_storage(m.message.recipient, top[0]) == Access::cold)
        gas -= kColdSlotGas - kWarmAccessGas;
    if (gas >= 0) top[0] = m.host.storage(m.message.recipient, top[0]);
    return {gas};
}

Step do_sstore(Machine& m, Uint256* top, int64_t gas) {
    if (m.message.is_static) return {gas, Status::static_violation};
    if (m.rules.store_needs_stipend && gas <= kCallStipend) return {kNoGas};
    if (m.rules.access_is_warm_or_cold &&
        m.host.access_storage(m.message.recipient, top[0]) == Access::cold)
        gas -= kColdSlotGas;
    const auto cost =
        store_cost(m.rules.store, m.host.set_storage(m.message.recipient, top[0], top[-1]));
    m.refund += cost.refund;
    return {gas - cost.gas};
}

Step do_tload(Machine& m, Uint256* top, int64_t gas) {
    top[0] = m.host.transient_storage(m.message.recipient, top[0]);
    return {gas};
}

Step do_tstore(Machine& m, Uint256* top, int64_t gas) {
    if (m.message.is_static) return {gas, Status::static_violation};
    m.host.set_transient_storage(m.message.recipient, top[0], top[-1]);
    return {gas};
}

Step do_mcopy(Machine& m, Uint256* top, int64_t gas) {
    const Uint256 furthest = std::max(top[0], top[-1]);
    gas = pay_copy(m, furthest, top[-2], gas);
    if (gas >= 0 && !top[-2].is_zero())
        std::memmove(m.memory.data() + top[0].low(), m.memory.data() + top[-1].low(),
                     top[-2].low());
    return {gas};
}

Step do_log(Machine& m, Uint256* top, int64_t gas, int topic_count) {
    if (m.message.is_static) return {gas, Status::static_violation};
    constexpr int64_t kLogByteGas = 8;
    gas = touch_memory(m, top[0], top[-1], gas);
    if (gas < 0) return {gas};
    const uint64_t size = top[-1].low();
    gas -= kLogByteGas * static_cast<int64_t>(size);
    if (gas < 0) return {gas};
    Hash topics[4];
    for (int i = 0; i < topic_count; ++i) topics[i] = word_hash(top[-2 - i]);
    const BytesView data =
        size == 0 ? BytesView() : BytesView(m.memory.data() + top[0].low(), size);
    m.host.log(m.message.recipient, data, {topics, static_cast<size_t>(topic_count)});
    return {gas};
}

Step do_return(Machine& m, Uint256* top, int64_t gas, Status ending) {
    gas = touch_memory(m, top[0], top[-1], gas);
    if (gas < 0) return {gas};
    m.output_size = top[-1].low();
    m.output_offset = m.output_size == 0 ? 0 : top[0].low();
    return {gas, ending};
}

}  // namespace trainyard::vm
