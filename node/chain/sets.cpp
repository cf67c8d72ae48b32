// SPDX-License-Identifier: Apache-2.0
// Reading sets, and falling back to the one before.
#include "node/chain/sets.hpp"

#include <utility>

#include "consensus/bft/messages.hpp"
#include "consensus/light/light.hpp"
#include "core/assert.hpp"
#include "core/big_endian.hpp"
#include "core/rlp.hpp"
#include "state/trie.hpp"

namespace trainyard::node::chain {
namespace {

constexpr size_t kKnownMax = 16;  ///< sets of 200 validators, about 30 kB each

Bytes key_of(char table, Epoch epoch) {
    Bytes key{static_cast<uint8_t>(table)};
    append_be(key, epoch.value);
    return key;
}

/// v | epoch, 8 bytes big-endian -> rlp([[address, consensus, VRF and P2P key, stake in Gwei], …])
Bytes set_key(Epoch epoch) {
    return key_of('v', epoch);
}

Bytes encode_set(const consensus::ValidatorSet& set) {
    rlp::Writer out;
    out.begin_list();
    for (const auto& v : set.all()) {
        out.begin_list().fixed(v.address).fixed(v.consensus_key).fixed(v.vrf_key).fixed(v.p2p_key);
        out.number(v.stake_gwei).end_list();
    }
    return out.end_list().take();
}

consensus::SetPtr decode_set(BytesView record) {
    std::vector<consensus::Validator> validators;
    rlp::Fields outer(record);
    outer.each([&](rlp::Fields& list) {
        list.list([&](rlp::Fields& in) {
            auto& v = validators.emplace_back();
            v.address = in.fixed<Address>();
            v.consensus_key = in.fixed<PublicKey>();
            v.vrf_key = in.fixed<PublicKey>();
            v.p2p_key = in.fixed<PublicKey>();
            v.stake_gwei = in.number();
        });
    });
    if (!outer.finish()) return nullptr;
    auto set = consensus::ValidatorSet::make(std::move(validators));
    return set ? std::make_shared<const consensus::ValidatorSet>(std::move(*set)) : nullptr;
}

}  // namespace

Bytes boundary_key(Epoch epoch) {
    return key_of('w', epoch);
}

StateSets::StateSets(consensus::ValidatorSet first, Parts parts)
    : first_(std::make_shared<const consensus::ValidatorSet>(std::move(first))),
      parts_(std::move(parts)) {}

consensus::SetPtr StateSets::of_epoch(Epoch epoch) const {
    if (epoch.value < 2 || !parts_.read) return first_;
    const std::lock_guard lock(mutex_);
    if (auto found = find(epoch)) return found;
    auto set = read(epoch);
    for (Epoch at = epoch - 1; !set && at.value >= 2; at = at - 1) {
        set = find(at);
        if (!set) set = read(at);
    }
    if (!set) set = first_;
    unsaved_.put(set_key(epoch), encode_set(*set));
    if (known_.size() >= kKnownMax) known_.erase(known_.begin());
    known_[epoch] = set;
    return set;
}

void StateSets::on_final(Height height) {
    const Epoch epoch = consensus::epoch_of(height, parts_.config.epoch_length);
    if (!parts_.read || consensus::boundary_of(epoch, parts_.config.epoch_length) != height) return;
    (void)of_epoch(epoch + 2);
    record_boundary(epoch);
}

/// The state may be deleted later, and nobody could show the set to others then.
void StateSets::record_boundary(Epoch epoch) {
    const uint64_t number = consensus::boundary_of(epoch, parts_.config.epoch_length).value;
    auto header = parts_.world.header_by_number(number);
    const auto bytes = parts_.world.certificate(number);
    if (!header || !bytes) return;
    auto certificate = consensus::bft::decode_certificate(*bytes);
    if (!certificate) return;
    auto witness = consensus::light::witness_of_sets(parts_.world.nodes(), header->state_root,
                                                     parts_.config, epoch);
    if (!witness) return;
    const Bytes record = consensus::light::encode_boundary(
        {*std::move(header), *std::move(certificate), *std::move(witness)});
    const std::lock_guard lock(mutex_);
    unsaved_.put(boundary_key(epoch), record);
}

std::optional<Bytes> StateSets::boundary(Epoch epoch) const {
    return parts_.world.extra(boundary_key(epoch));
}

state::Batch StateSets::take_unsaved() {
    const std::lock_guard lock(mutex_);
    return std::exchange(unsaved_, {});
}

/// In memory or in the store.
consensus::SetPtr StateSets::find(Epoch epoch) const {
    if (const auto found = known_.find(epoch); found != known_.end()) return found->second;
    const auto record = parts_.world.extra(set_key(epoch));
    auto set = record ? decode_set(*record) : nullptr;
    if (set && known_.size() < kKnownMax) known_[epoch] = set;
    return set;
}

/// That of the boundary that fixes the set; of the head where that is gone, or never was here,
/// since a state names the sets of all epochs before.
std::optional<Hash> StateSets::state_that_names(Epoch epoch) const {
    const Height fixed = consensus::boundary_of(epoch - 2, parts_.config.epoch_length);
    const auto head = parts_.world.head();
    if (head && head->header.number > fixed.value && !parts_.world.keeps_state(fixed.value))
        return head->header.state_root;
    const auto header = parts_.world.header_by_number(fixed.value);
    ASSERT(header || parts_.world.damage());
    return header ? std::optional(header->state_root) : std::nullopt;
}

consensus::SetPtr StateSets::read(Epoch epoch) const {
    const auto root = state_that_names(epoch);
    if (!root) return nullptr;
    const state::TrieView view(parts_.world.nodes(), *root);
    auto set = parts_.read(view, parts_.config, epoch);
    if (set) return std::make_shared<const consensus::ValidatorSet>(std::move(*set));
    if (parts_.on_unreadable) parts_.on_unreadable(epoch, set.error());
    return nullptr;
}

}  // namespace trainyard::node::chain
