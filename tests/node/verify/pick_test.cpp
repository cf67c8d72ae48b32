// SPDX-License-Identifier: Apache-2.0
// A verifier as challenger before the referee: it follows a lie down to its number, finds nothing
// in an honest segment, and refuses states of other disputes.
#include <gtest/gtest.h>

#include "core/hash.hpp"
#include "node/verify/verifier.hpp"
#include "tests/training/small_program.hpp"
#include "training/referee/players.hpp"
#include "training/state_blob.hpp"

namespace trainyard::node::verify {
namespace {

using namespace trainyard::training;
using referee::Phase;
using referee::Turn;
using referee::Witness;

/// A segment of two steps behind `first_step`, and a provider of it that may have slipped.
class Dispute {
public:
    explicit Dispute(std::optional<referee::Slip> slip, uint32_t first_step = 0)
        : program_(make_program()), provider_(make_provider(slip, first_step)) {
        state.claim = *provider_.claim();
        request.segment.claim = state.claim.segment;
    }

    /// The provider's move, and the state that it leads to. False: it has none that is taken.
    bool show() {
        const auto move = referee::provider_move(provider_, state);
        return move && play(*move);
    }
    /// Plays until a side has no move; the challenger's picks are the verifier's.
    void play_out(Verifier& verifier) {
        for (;;) {
            if (referee::turn_of(state.phase) == Turn::provider) {
                if (!show()) return;
                continue;
            }
            const auto pick = verifier.pick(turn());
            ASSERT_TRUE(pick) << pick.error().text;
            if (!*pick) return;
            ASSERT_TRUE(play(referee::move::pick(**pick)));
        }
    }
    [[nodiscard]] PickRequest turn() const {
        PickRequest out = request;
        out.state = referee::encode_state(state);
        return out;
    }

    referee::State state;
    PickRequest request;

private:
    static Program make_program() {
        GptOptions options = small_options();
        options.layers = 1, options.width = 16, options.micro_batches = 2;
        return *make_gpt(options);
    }
    Witness make_provider(std::optional<referee::Slip> slip, uint32_t first_step) {
        const Bytes encoded = encode_program(program_);
        request.segment.job = {encoded, sha256(encoded), make_text(4000), seed_of(5)};
        ModelState first = make_initial_state(program_, seed_of(5));
        auto engine = Engine::make(program_, *backend_);
        for (uint32_t t = 0; t < first_step; ++t)
            EXPECT_TRUE(run_step(*engine, first, request.segment.job.data));
        if (first_step > 0)
            request.segment.first_state = encode_state(first, request.segment.job.program_id);
        auto out = Witness::make(program_, request.segment.job.data, *backend_,
                                 {std::move(first), 2, slip});
        EXPECT_TRUE(out);
        return std::move(*out);
    }
    bool play(BytesView move) {
        const auto next = referee::play(state, move);
        if (next) state = *next;
        return next.has_value();
    }

    std::unique_ptr<Backend> backend_ = make_cpu_backend({});
    Program program_;
    Witness provider_;
};

/// One number of the sum of gradients of the segment's last step.
referee::Slip false_sum() {
    referee::Slip slip;
    slip.step = 1;
    slip.kind = referee::SubjectKind::sum;
    slip.index = 2;
    slip.element = 1;
    slip.bits = 0x3f800000;
    return slip;
}

std::unique_ptr<Verifier> verifier() {
    return make_local_verifier(BackendOptions{1, false});
}

Bytes without_last_byte(BytesView bytes) {
    const BytesView rest = bytes.first(bytes.size() - 1);
    return {rest.begin(), rest.end()};
}

Bytes with_other_last_byte(BytesView bytes) {
    Bytes out = without_last_byte(bytes);
    out.push_back(bytes.back() ^ 1);
    return out;
}

TEST(pick, a_lie_is_followed_until_its_provider_has_nothing_to_show) {
    const auto challenger = verifier();
    for (const uint32_t first_step : {0U, 2U}) {  // one verifier, one dispute after the other
        Dispute dispute(false_sum(), first_step);
        dispute.play_out(*challenger);
        EXPECT_EQ(dispute.state.phase, Phase::show_parts) << to_text(dispute.state.phase);
        EXPECT_EQ(dispute.state.subject.kind, referee::SubjectKind::sum);
    }
}

TEST(pick, a_verifier_that_was_started_anew_goes_on_in_the_middle) {
    Dispute dispute(false_sum());
    ASSERT_TRUE(dispute.show());
    const auto before = verifier()->pick(dispute.turn());
    const auto after = verifier()->pick(dispute.turn());
    ASSERT_TRUE(before && after);
    EXPECT_EQ(*before, Pick(1));
    EXPECT_EQ(*after, *before);
}

TEST(pick, nothing_is_pointed_at_where_all_is_right) {
    for (const uint32_t first_step : {0U, 2U}) {
        Dispute dispute(std::nullopt, first_step);
        ASSERT_TRUE(dispute.show());
        const auto pick = verifier()->pick(dispute.turn());
        ASSERT_TRUE(pick) << pick.error().text;
        EXPECT_EQ(*pick, Pick());
    }
}

TEST(pick, rejects_states_that_are_not_of_this_dispute_or_no_turn_of_the_challenger) {
    const auto refusal = [](const PickRequest& request) {
        const auto pick = verifier()->pick(request);
        if (pick) return std::string("picked");
        EXPECT_EQ(pick.error().code, VerifyErrorCode::bad_request);
        return pick.error().text;
    };
    Dispute dispute(false_sum(), 2);
    EXPECT_NE(refusal(dispute.turn()).find("not the challenger's turn"), std::string::npos);
    ASSERT_TRUE(dispute.show());
    const PickRequest turn = dispute.turn();
    const auto with_state = [&](auto change) {
        referee::State state = dispute.state;
        change(state);
        PickRequest out = turn;
        out.state = referee::encode_state(state);
        return refusal(out);
    };
    for (const std::string& text : {with_state([](auto& s) { s.claim.run_seed = {}; }),
                                    with_state([](auto& s) { s.claim.program = {}; }),
                                    with_state([](auto& s) { s.claim.micro_batches = 3; }),
                                    with_state([](auto& s) { s.claim.segment.last_root = {}; })})
        EXPECT_NE(text.find("about another segment"), std::string::npos) << text;
    for (const std::string& text :
         {with_state([](auto& s) { s.step = 2; }), with_state([](auto& s) { s.unit_number = 2; })})
        EXPECT_NE(text.find("the segment does not have"), std::string::npos) << text;
    EXPECT_NE(with_state([](auto& s) { s.hashes.pop_back(); }).find("another number of items"),
              std::string::npos);
    PickRequest other = turn;
    other.state.pop_back();
    EXPECT_NE(refusal(other).find("cannot be read"), std::string::npos);
    other.state.resize(kRefereeStateBytesMax + 1);
    EXPECT_NE(refusal(other).find("too long"), std::string::npos);
    other = turn;
    other.segment.first_state = with_other_last_byte(turn.segment.first_state);
    EXPECT_NE(refusal(other).find("state before the segment is another one"), std::string::npos);
    other = turn;
    other.segment.job.data = without_last_byte(turn.segment.job.data);
    EXPECT_NE(refusal(other).find("data set has another size"), std::string::npos);
}

}  // namespace
}  // namespace trainyard::node::verify
