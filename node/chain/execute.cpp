// SPDX-License-Identifier: Apache-2.0
// Executing blocks of others, building own ones, and taking final ones while catching up.
#include <algorithm>

#include "consensus/bft/verify.hpp"
#include "consensus/rules/block.hpp"
#include "consensus/rules/work.hpp"
#include "node/chain/body.hpp"
#include "node/chain/impl.hpp"

namespace trainyard::node::chain {
namespace {

namespace cb = consensus::bft;

/// Final blocks that may wait for one that carries its own certificate: nothing proves them so far.
constexpr size_t kWaitingMax = 1024, kWaitingBytesMax = size_t{256} << 20;

consensus::BlockHashes hashes_on(const state::World& world, const Branch& branch) {
    return [&world, branch](uint64_t number) {
        const uint64_t base = branch.base->height();
        if (number > base)
            return number - base <= branch.above.size() ? branch.above[number - base - 1]->hash
                                                        : Hash{};
        if (number == base) return branch.base->hash;
        const auto header = world.header_by_number(number);
        return header ? hash_header(*header) : Hash{};
    };
}

ChainBlockPtr make_chain_block(Block block, consensus::BlockOutcome outcome,
                               state::StateUpdate update) {
    auto made = std::make_shared<ChainBlock>();
    made->hash = hash_header(block.header);
    made->block = std::move(block);
    made->senders = std::move(outcome.senders);
    made->receipts = std::move(outcome.receipts);
    made->diff = std::move(outcome.diff);
    made->update = std::move(update);
    return made;
}

/// What consensus carries of a body, but for the prefixes of its lists, without ommers and
/// withdrawals.
constexpr uint64_t kTxsSizeMax = cb::kBodySizeMax - 64;

/// No rule of execution: refuses what cannot be a proof of the certificate's kind.
bool certifies(const cb::Certificate& certificate, const Hash& hash) {
    return certificate.kind == cb::VoteKind::finalize && certificate.block == hash;
}

}  // namespace

std::string diverged_words(const Hash& block) {
    return "a quorum made block " + to_hex0x(block.bytes) +
           " final, which is invalid here: stop, keep the data folder, and report it";
}

Verdict Chain::Impl::run(const Header& header, BytesView body) {
    const auto parent = branch_to(header.parent_hash);
    if (!parent) return Verdict::unavailable;
    auto block = join_body(header, body);
    if (!block) return Verdict::invalid;
    const auto view = view_of(*parent);
    state::ParentState before(*view, *view->nodes(), parent->tip()->block.header.state_root);
    auto outcome = consensus::apply_block(
        before, parent->tip()->block.header, *block,
        {hashes_on(*world, *parent), {}, {}, options.executor, {}, &codes, options.one_by_one},
        options.config);
    if (world->damage()) return Verdict::unavailable;
    if (!outcome) return Verdict::invalid;
    auto update = before.change(outcome->diff, side_by_side(options.executor));
    if (!update) return Verdict::unavailable;
    if (update->root != header.state_root) return Verdict::invalid;
    const auto made = make_chain_block(std::move(*block), std::move(*outcome), std::move(*update));
    const std::lock_guard lock(mutex);
    return tree.insert(made) ? Verdict::valid : Verdict::unavailable;
}

/// By every root that the header has over the body: a peer must not be able to spoil a block with
/// ommers or withdrawals of its own.
bool Chain::is_body_of(const Header& header, BytesView body) const {
    const auto block = join_body(header, body);
    if (!block || block->withdrawals.has_value() != header.withdrawals_root.has_value())
        return false;
    return consensus::transactions_root(block->txs) == header.transactions_root &&
           consensus::ommers_hash(block->ommers) == header.ommers_hash &&
           (!block->withdrawals ||
            consensus::withdrawals_root(*block->withdrawals) == header.withdrawals_root);
}

bool Chain::is_plausible(const Header& parent, const Header& header) const {
    return consensus::check_header(header, parent, config()).has_value();
}

Verdict Chain::execute(const cb::BlockData& block) {
    {
        const std::lock_guard lock(impl_->mutex);
        if (impl_->tree.find(block.hash) != nullptr) return Verdict::valid;
    }
    return impl_->run(block.header, block.body);
}

cb::BlockPtr Chain::build(const BuildRequest& request, const CandidateSource& candidates) {
    const auto parent = impl_->branch_to(request.parent_hash);
    if (!parent) return nullptr;
    const auto view = impl_->view_of(*parent);
    const consensus::HeaderChoice choice{request.beneficiary, request.now_s, request.prev_randao,
                                         request.extra_data};
    const consensus::BuildInput input{
        .parent = request.parent,
        .header = consensus::make_header(request.parent, choice, config()),
        .hashes = hashes_on(*impl_->world, *parent),
        .config = config(),
        .next = candidates,
        .is_time_up = request.is_time_up,
        .codes = &impl_->codes,
        .txs_size_max = kTxsSizeMax,
    };
    auto built = consensus::build_block(*view, input);
    if (!built || impl_->world->damage()) return nullptr;
    auto update = state::state_root(request.parent.state_root, built->outcome.diff, *view->nodes(),
                                    side_by_side(impl_->options.executor));
    if (!update) return nullptr;
    built->block.header.state_root = update->root;
    const auto made =
        make_chain_block(std::move(built->block), std::move(built->outcome), std::move(*update));
    {
        const std::lock_guard lock(impl_->mutex);
        if (!impl_->tree.insert(made)) return nullptr;
    }
    return cb::make_block(made->block.header, encode_body(made->block));
}

/// Drops what waits in the place of this block or above it; false where it follows nothing here.
/// What is given anew is the better word: what waits may be a lie, bodies included. The number is
/// looked at before anything is asked of its epoch, which may be one that nobody can know of.
bool Chain::Impl::make_way_for(const Header& header, const ChainBlock& base) {
    Hash above = base.hash;
    uint64_t number = base.height();
    for (auto it = waiting.begin(); it != waiting.end(); ++it) {
        if (it->header.parent_hash != above || header.parent_hash == above) {
            waiting.erase(it, waiting.end());
            break;
        }
        above = it->hash;
        ++number;
    }
    return header.parent_hash == above && header.number == number + 1;
}

bool Chain::Impl::has_room_to_wait() const {
    size_t bytes = 0;
    for (const auto& block : waiting) bytes += block.body.size();
    return waiting.size() < kWaitingMax && bytes < kWaitingBytesMax;
}

consensus::BlockHashes Chain::hashes_up_to(const Hash& block) const {
    const auto branch = impl_->branch_to(block);
    return branch ? consensus::remembered(hashes_on(*impl_->world, *branch)) : nullptr;
}

Result<Done, ChainError> Chain::apply_final(BytesView block_bytes, BytesView certificate_bytes) {
    const std::lock_guard lock(impl_->commit_mutex);
    const auto block = decode_block(block_bytes);
    const auto certificate = cb::decode_certificate(certificate_bytes);
    if (!block || !certificate) return unexpected(ChainError{"a final block does not decode"});
    auto& waiting = impl_->waiting;
    const auto base = finalised();
    if (block->header.number <= base->height()) return Done{};
    const Hash hash = hash_header(block->header);
    const bool follows = impl_->make_way_for(block->header, *base);
    if (!follows || !impl_->has_room_to_wait()) {
        waiting.clear();
        return unexpected(ChainError{follows ? "too many final blocks wait for a certificate"
                                             : "a final block does not follow the one before"});
    }
    waiting.push_back({hash, encode_body(*block), block->header});
    const Height height{block->header.number};
    const Epoch epoch = consensus::epoch_of(height, config().epoch_length);
    if (!certifies(*certificate, hash)) {
        if (height != consensus::boundary_of(epoch, config().epoch_length)) return Done{};
        waiting.clear();  // the set that certifies a descendant may hang on this very block
        return unexpected(ChainError{"the last block of an epoch lacks its own certificate"});
    }
    const auto batch = std::move(waiting);
    waiting.clear();
    if (certificate->epoch != epoch)
        return unexpected(ChainError{"a finality certificate is of another epoch"});
    if (!cb::verify_certificate(*certificate, *sets().of_epoch(epoch), impl_->identity()))
        return unexpected(ChainError{"a finality certificate is not signed by a quorum"});
    for (const auto& next : batch) {
        if (by_hash(next.hash) != nullptr) continue;
        const auto verdict = impl_->run(next.header, next.body);
        if (verdict == Verdict::valid) continue;
        if (!is_body_of(next.header, next.body))
            return unexpected(ChainError{"a final block came with another body than its own"});
        if (const auto damage = impl_->world->damage())
            return unexpected(ChainError{state::to_text(*damage), true});
        return unexpected(ChainError{diverged_words(next.hash), true});
    }
    return impl_->finalise_branch(hash, *certificate);
}

}  // namespace trainyard::node::chain
