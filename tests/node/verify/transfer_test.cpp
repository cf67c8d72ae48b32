// SPDX-License-Identifier: Apache-2.0
// Messages between node and verifier over a real socket: whole, bounded, in time.
#include "node/verify/transfer.hpp"

#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace trainyard::node::verify {
namespace {

class Sockets : public testing::Test {
protected:
    void SetUp() override { ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_), 0); }
    void TearDown() override {
        for (const int fd : ends_) ::close(fd);
    }
    int ends_[2] = {-1, -1};
};

TEST_F(Sockets, a_frame_larger_than_the_socket_buffer_and_a_piece_arrives_whole) {
    Bytes payload(40'000'001);
    for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<uint8_t>(i % 251);
    std::thread writer([&] { EXPECT_TRUE(write_frame(ends_[0], payload, 10'000)); });
    const auto got = read_frame(ends_[1], payload.size(), 10'000);
    writer.join();
    ASSERT_TRUE(got);
    EXPECT_EQ(*got, payload);
}

TEST_F(Sockets, messages_in_pieces_arrive_as_they_were_and_lie_as_they_are_encoded) {
    AuditRequest audits;
    audits.audits.resize(2);
    audits.audits.back().draws.units = {{20, 0}};
    audits.audits.push_back(audits.audits.front());
    audits.audits.back().bundle = Bytes(70'000, 5);
    audits.audits.front().segment.last_state = Bytes(20'000'001, 7);
    audits.job.data = Bytes(65'536, 1);
    ReplayRequest replay;
    replay.first_state = Bytes(300'000, 9);
    const auto arrives = [&](const auto& request) {
        const Pieces pieces = pieces_of(request);
        std::thread writer([&] { EXPECT_TRUE(write_pieces(ends_[0], pieces, 10'000)); });
        const auto got = read_request(ends_[1], 10'000);
        writer.join();
        return got && encode_request(*got) == encode_request(request) &&
               pieces.size() == encode_request(request).size();
    };
    EXPECT_TRUE(arrives(audits));
    EXPECT_TRUE(arrives(replay));
    EXPECT_TRUE(arrives(PickRequest{replay, Bytes(100'000, 4)}));
    EXPECT_TRUE(arrives(NameRequest{}));
    EXPECT_TRUE(arrives(AuditRequest{}));
    const VerifyAnswer answer{true, {Hash()}, "match", Bytes(40'000'000, 3)};
    const Reply reply = answer;
    std::thread writer([&] { EXPECT_TRUE(write_pieces(ends_[0], pieces_of(reply), 10'000)); });
    const auto got = read_reply(ends_[1], answer.last_state.size(), 10'000);
    writer.join();
    ASSERT_TRUE(got);
    EXPECT_EQ(std::get<VerifyAnswer>(*got), answer);
}

TEST_F(Sockets, a_request_arrives_whole_and_is_not_copied_for_its_way) {
    ReplayRequest replay;
    replay.first_state = Bytes(50'000'001, 9);
    std::thread writer([&] { EXPECT_TRUE(write_pieces(ends_[0], pieces_of(replay), 10'000)); });
    const auto got = read_request(ends_[1], 10'000);
    writer.join();
    ASSERT_TRUE(got);
    EXPECT_EQ(std::get<ReplayRequest>(*got).first_state, replay.first_state);
    const auto pieces = pieces_of(replay);
    EXPECT_EQ(pieces.large.back().data(), replay.first_state.data()) << "nor is it copied here";
}

TEST_F(Sockets, rejects_a_malformed_head_and_sizes_that_are_not_the_fields) {
    for (const Bytes& head :
         {Bytes{1, 2, 3}, Bytes{0xc2, 0x01, 0x80}, Bytes{0xc3, 0x01, 0xc1, 1}}) {
        ASSERT_TRUE(write_frame(ends_[0], head, 1000));
        EXPECT_EQ(read_request(ends_[1], 1000).error(), FrameError::malformed);
    }
}

TEST_F(Sockets, rejects_a_frame_with_an_absurd_length) {
    Bytes head;
    append_le<uint64_t>(head, ~0ull);
    ASSERT_EQ(::write(ends_[0], head.data(), head.size()), 8);
    EXPECT_EQ(read_frame(ends_[1], kFrameBytesMax, 1000).error(), FrameError::too_large);
}

TEST_F(Sockets, rejects_a_reply_that_is_larger_than_a_reply_can_be_before_it_arrives) {
    Bytes head;
    append_le<uint64_t>(head, kReplyHeadBytesMax + 1);
    ASSERT_EQ(::write(ends_[0], head.data(), head.size()), 8);
    EXPECT_EQ(read_reply(ends_[1], 0, 10'000).error(), FrameError::too_large);
}

TEST_F(Sockets, rejects_a_state_that_was_not_asked_for_before_it_arrives) {
    const Reply reply = VerifyAnswer{true, {Hash()}, "match", Bytes(100, 3)};
    const Bytes head = pieces_of(reply).head;
    for (const uint64_t allowed : {0, 99}) {
        ASSERT_TRUE(write_frame(ends_[0], head, 1000));
        EXPECT_EQ(read_reply(ends_[1], allowed, 10'000).error(), FrameError::too_large);
    }
    ASSERT_TRUE(write_pieces(ends_[0], pieces_of(reply), 1000));
    EXPECT_TRUE(read_reply(ends_[1], 100, 10'000));
}

TEST_F(Sockets, silence_ends_at_the_deadline_and_a_closed_peer_at_once) {
    EXPECT_EQ(read_frame(ends_[1], 8, 30).error(), FrameError::timed_out);
    ::close(ends_[0]);
    ends_[0] = -1;
    EXPECT_EQ(read_frame(ends_[1], 8, 10'000).error(), FrameError::closed);
}

}  // namespace
}  // namespace trainyard::node::verify
