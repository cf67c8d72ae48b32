// SPDX-License-Identifier: Apache-2.0
// Messages between node and verifier: round trips, refusals.
#include "node/verify/protocol.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace trainyard::node::verify {
namespace {

Hash filled(uint8_t b) {
    Hash out;
    out.bytes.fill(b);
    return out;
}

AuditRequest example() {
    Audit audit;
    audit.segment.claim = {20, 4, filled(3), filled(4), filled(5)};
    audit.segment.last_state = {9};
    audit.draws.units = {{20, 0}, {23, 3}};
    audit.draws.tiles = {{0, 0}, {5, 17}};
    audit.bundle = Bytes(300, 8);
    return {{{1, 2, 3}, filled(1), Bytes(1000, 7), filled(2)}, {audit, audit}};
}

ReplayRequest example_replay() {
    return {example().job, example().audits[0].segment.claim, 7, filled(6), 9, {1, 2}, 3};
}

PickRequest example_turn() {
    return {{example().job, example().audits[0].segment.claim, 0, {}, 0, {5, 6, 7}}, {1, 2, 3, 4}};
}

TEST(verify_protocol, requests_and_replies_round_trip) {
    const Request requests[] = {NameRequest{}, example(), example_replay(), example_turn()};
    for (const auto& request : requests) {
        const auto encoded = encode_request(request);
        const auto decoded = decode_request(encoded);
        ASSERT_TRUE(decoded);
        EXPECT_EQ(decoded->index(), request.index());
        EXPECT_EQ(encode_request(*decoded), encoded);
    }
    const VerifyAnswer answer{true, {filled(1), filled(2)}, "match", {3, 4}};
    const auto decoded = decode_reply(encode_reply(answer));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::get<VerifyAnswer>(*decoded), answer);
}

TEST(verify_protocol, a_pick_is_an_index_or_nothing_and_a_state_is_bounded) {
    for (const Pick& pick : {Pick(), Pick(0), Pick(7), Pick(0xffffffff)}) {
        const auto encoded = encode_reply(pick);
        const auto decoded = decode_reply(encoded);
        ASSERT_TRUE(decoded);
        EXPECT_EQ(std::get<Pick>(*decoded), pick);
        for (size_t size = 0; size < encoded.size(); ++size)
            EXPECT_FALSE(decode_reply(BytesView(encoded).first(size))) << size;
    }
    Bytes index_of_nothing = encode_reply(Pick(7));
    ASSERT_EQ(index_of_nothing[10], 1) << "kind, points, index";
    index_of_nothing[10] = 0x80;
    EXPECT_FALSE(decode_reply(index_of_nothing));
    auto turn = example_turn();
    turn.state.resize(kRefereeStateBytesMax);
    EXPECT_TRUE(decode_request(encode_request(turn)));
    turn.state.push_back(0);
    EXPECT_FALSE(decode_request(encode_request(turn)));
}

TEST(verify_protocol, a_replay_is_of_an_end_or_of_a_step_that_the_segment_has) {
    ReplayRequest request = example_replay();
    for (const uint32_t step : {0U, 1U, request.claim.steps}) {
        request.diverges_at = step;
        const auto decoded = decode_request(encode_request(request));
        ASSERT_TRUE(decoded);
        EXPECT_EQ(std::get<ReplayRequest>(*decoded).diverges_at, step);
    }
    for (const uint32_t step : {request.claim.steps + 1, 0xffffffffU}) {
        request.diverges_at = step;
        EXPECT_EQ(decode_request(encode_request(request)).error(), rlp::Error::too_long);
    }
}

TEST(verify_protocol, results_of_a_batch_round_trip_with_errors_among_them) {
    const VerifyAnswer answer{false, {filled(3)}, "gradient at step 4"};
    const VerifyError error{VerifyErrorCode::device_failed, "the device failed"};
    const auto encoded = encode_reply(std::vector<AuditResult>{answer, unexpected(error)});
    const auto decoded = decode_reply(encoded);
    ASSERT_TRUE(decoded);
    const auto& results = std::get<std::vector<AuditResult>>(*decoded);
    ASSERT_EQ(results.size(), 2u);
    EXPECT_EQ(*results[0], answer);
    EXPECT_EQ(results[1].error(), error);
    for (size_t size = 0; size < encoded.size(); ++size)
        EXPECT_FALSE(decode_reply(BytesView(encoded).first(size))) << size;
}

TEST(verify_protocol, rejects_more_audits_than_a_request_may_hold) {
    auto request = example();
    request.audits.resize(kAuditsMax);
    EXPECT_TRUE(decode_request(encode_request(request)));
    request.audits.emplace_back();
    EXPECT_FALSE(decode_request(encode_request(request)));
}

TEST(verify_protocol, rejects_every_truncation_and_leftovers) {
    for (const Request& request :
         {Request(example()), Request(example_replay()), Request(example_turn())}) {
        const auto encoded = encode_request(request);
        for (size_t size = 0; size < encoded.size(); ++size)
            EXPECT_FALSE(decode_request(BytesView(encoded).first(size))) << size;
        auto longer = encoded;
        longer.push_back(0);
        EXPECT_FALSE(decode_request(longer));
        EXPECT_FALSE(decode_reply(encoded)) << "a request is no reply";
    }
}

TEST(verify_protocol, rejects_more_draws_than_an_audit_can_have) {
    auto request = example();
    request.audits[0].draws.units.resize(kDrawsMax + 1);
    EXPECT_FALSE(decode_request(encode_request(request)));
}

TEST(verify_protocol, texts_are_cut_and_made_printable_where_they_are_written) {
    const std::string text = "bad\n\x1b[2J\xff" + std::string(2 * kTextBytesMax, 'x');
    const auto shown = [](const Reply& reply) { return *decode_reply(encode_reply(reply)); };
    const std::string due = "bad??[2J?" + std::string(kTextBytesMax - 9, 'x');
    EXPECT_EQ(std::get<Introduction>(shown(Introduction{text, {}})).name, due);
    EXPECT_EQ(std::get<VerifyAnswer>(shown(VerifyAnswer{false, {}, text})).finding, due);
    EXPECT_EQ(std::get<VerifyError>(shown(VerifyError{VerifyErrorCode::died, text})).text, due);
}

TEST(verify_protocol, rejects_texts_that_no_log_can_show) {
    for (const uint8_t byte : {0x00, 0x0a, 0x1b, 0x1f, 0x7f, 0x80, 0xff}) {
        Bytes encoded = encode_reply(Introduction{"name", {}});
        const auto place = std::find(encoded.begin(), encoded.end(), uint8_t{'m'});
        *place = byte;
        EXPECT_EQ(decode_reply(encoded).error(), rlp::Error::bad_value) << int{byte};
    }
    Bytes head = rlp::Writer()
                     .begin_list()
                     .number(1)
                     .bytes(Bytes(kTextBytesMax + 1, 'x'))
                     .begin_list()
                     .end_list()
                     .end_list()
                     .take();
    Bytes encoded;
    append_le<uint64_t>(encoded, head.size());
    append(encoded, head);
    EXPECT_EQ(decode_reply(encoded).error(), rlp::Error::too_long);
}

TEST(verify_protocol, the_longest_reply_fits_into_its_frame) {
    const VerifyAnswer answer{true, std::vector<Hash>(kDrawsMax, filled(9)),
                              std::string(kTextBytesMax, 'x')};
    const Reply all = std::vector<AuditResult>(kAuditsMax, answer);
    EXPECT_LE(pieces_of(all).head.size(), kReplyHeadBytesMax);
    EXPECT_TRUE(decode_reply(encode_reply(all)));
}

}  // namespace
}  // namespace trainyard::node::verify
