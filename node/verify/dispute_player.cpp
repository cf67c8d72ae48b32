// SPDX-License-Identifier: Apache-2.0
// From the referee's state on the chain to a move.
#include "node/verify/dispute_player.hpp"

#include "node/verify/room.hpp"
#include "node/wallet/coins.hpp"
#include "training/referee/game.hpp"

namespace trainyard::node::verify {
namespace {

constexpr uint64_t kClockBlocks = 8;  ///< before the clock is called for once more

}  // namespace

DisputePlayer::DisputePlayer(wallet::MarketApi& market, Verifier& verifier, CaseRequest request)
    : market_(market), verifier_(verifier), request_(std::move(request)) {}

Result<DisputePlayer::Step, std::string> DisputePlayer::step() {
    const auto& [job, seg] = std::pair(request_.seat.job, request_.seat.seg);
    auto segment = market_.segment(job, seg);
    if (!segment) return unexpected(segment.error().text);
    if (segment->state != wallet::SegmentState::disputed) return Step::over;
    const auto dispute = market_.dispute_of(job, seg);
    if (!dispute) return unexpected(dispute.error().text);
    if (dispute->challenger != market_.self()) return Step::over;
    if (!dispute->is_challengers) return end_by_the_clock(*segment);
    request_.segment = std::move(*segment);
    if (!turn_ || turn_->state_hash != dispute->state_hash) {
        auto turn = work_out(*dispute);
        if (!turn) return unexpected(turn.error());
        turn_ = std::move(*turn);
    }
    if (!turn_->pick) return Step::no_move;
    if (turn_->is_sent) return Step::waits;  // for a node that does not know of it yet
    const auto move = training::referee::move::pick(*turn_->pick);
    const auto sent = market_.play(job, seg, turn_->state, move);
    if (!sent) return unexpected("the move cannot be sent: " + sent.error().text);
    turn_->is_sent = true;
    return Step::pointed;
}

/// Anyone may say that the provider's time is over; who wins by it does not wait for others to.
Result<DisputePlayer::Step, std::string> DisputePlayer::end_by_the_clock(
    const wallet::Segment& segment) {
    const auto& [job, seg] = std::pair(request_.seat.job, request_.seat.seg);
    const auto head = market_.block_number();
    if (!head) return unexpected(head.error().text);
    const bool has_just_called = timed_out_at_ != 0 && *head < timed_out_at_ + kClockBlocks;
    if (*head <= segment.phase_deadline || has_just_called) return Step::waits;
    const auto possible = market_.can_nudge(wallet::MarketApi::Nudge::timeout, job, seg);
    if (!possible) return unexpected(possible.error().text);
    if (!*possible) return Step::waits;  // somebody else was faster
    timed_out_at_ = *head;
    const auto sent = market_.nudge(wallet::MarketApi::Nudge::timeout, job, seg);
    if (!sent)
        return unexpected(
            "the provider's time is over, and the call that says so cannot be sent: " +
            sent.error().text);
    return Step::timed_out;
}

Result<DisputePlayer::Turn, std::string> DisputePlayer::work_out(const wallet::Dispute& dispute) {
    auto state = market_.dispute_state(request_.seat.job, request_.seat.seg, dispute);
    if (!state) return unexpected(state.error().text);
    auto replay = gather_replay(market_, request_);
    if (!replay) return unexpected(replay.error().text);
    const auto patience = patience_ms(market_, request_);
    if (!patience) return unexpected(patience.error());
    replay->patience_ms = *patience;
    PickRequest turn{std::move(*replay), std::move(*state)};
    const auto pick = verifier_.pick(turn);
    if (!pick) return unexpected(pick.error().text);
    return Turn{dispute.state_hash, std::move(turn.state), *pick};
}

Result<Done, std::string> dispute_fits(wallet::MarketApi& market, const wallet::JobSpec& spec,
                                       uint64_t memory_bytes_max) {
    const auto place = market.seek_blob(spec.program);
    if (!place) return unexpected("program: " + place.error().text);
    if (*place != wallet::BlobPlace::here)
        return unexpected(std::string("its program is not here"));
    const auto encoded = market.get_blob(spec.program, training::ProgramLimits::encoded_bytes_max);
    if (!encoded) return unexpected("program: " + encoded.error().text);
    const auto program = training::decode_program(*encoded);
    if (!program) return unexpected("program: " + training::to_text(program.error()));
    constexpr unsigned kThreads = 16;  // as many as an auditor is promised to do with
    const auto fits = Room(memory_bytes_max, kThreads).holds_dispute(*program);
    if (!fits) return unexpected(fits.error().text);
    return Done{};
}

Result<Uint256, std::string> open_dispute(wallet::MarketApi& market, uint64_t job, uint32_t seg,
                                          const Uint256& bond_wei_max) {
    const auto bond = market.dispute_bond(job, seg);
    if (!bond) return unexpected(bond.error().text);
    const std::string price = "the bond is " + wallet::in_coins(*bond);
    if (*bond > bond_wei_max)
        return unexpected(price + ", and the limit is " + wallet::coins(bond_wei_max));
    const auto balance = market.balance(market.self());
    if (!balance) return unexpected(balance.error().text);
    if (*balance < *bond)
        return unexpected(price + ", and the account has " + wallet::coins(*balance));
    const auto sent = market.dispute(job, seg, *bond);
    if (!sent) return unexpected(sent.error().text);
    return *bond;
}

}  // namespace trainyard::node::verify
