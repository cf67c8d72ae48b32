// SPDX-License-Identifier: Apache-2.0
// Requests whose large fields are written into the memory of the process that reads them, and what
// happens where either side lies, is late or is gone.
#include "node/verify/placing.hpp"

#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/verify/transfer.hpp"
#include "tests/training/small_program.hpp"
#include "training/state_blob.hpp"

namespace trainyard::node::verify {
namespace {

constexpr uint32_t kSoon_ms = 10'000;

Bytes varied(size_t size, uint8_t first) {
    Bytes out(size);
    for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>(first + i % 251);
    return out;
}

/// Fields of many pieces, of one and of none.
AuditRequest large_request() {
    AuditRequest out;
    out.job.data = varied(70'000, 1);
    out.audits.resize(3);
    out.audits[0].segment.last_state = varied(30'000'001, 2);
    out.audits[0].bundle = varied(17, 3);
    out.audits[2].bundle = varied((8 << 20) + 1, 4);
    return out;
}

Bytes joined(const std::vector<uint64_t>& numbers) {
    Bytes out;
    for (const uint64_t n : numbers) append_le(out, n);
    return out;
}

/// Both ends of a socket: a node and its verifier process, of which the test plays one or both.
class Way : public testing::Test {
protected:
    void SetUp() override { ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_), 0); }
    void TearDown() override {
        if (node_.joinable()) node_.join();
        for (const int fd : ends_) ::close(fd);
    }
    /// The node's part, on a thread.
    void send(Request request, int pid, uint32_t timeout_ms = kSoon_ms) {
        node_ = std::thread([this, request = std::move(request), pid, timeout_ms] {
            const auto pieces = std::visit([](const auto& r) { return pieces_of(r); }, request);
            sent_ = write_request(node(), pieces, {pid, 3}, timeout_ms);
        });
    }
    [[nodiscard]] Result<Done, FrameError> sent() {
        node_.join();
        return sent_;
    }
    /// The head that follows an empty frame; nothing where the request comes bare.
    [[nodiscard]] Bytes read_announced_head() {
        const auto announcement = read_frame(process(), kFrameBytesMax, kSoon_ms);
        if (!announcement || !announcement->empty()) return {};
        return read_frame(process(), kFrameBytesMax, kSoon_ms).value_or(Bytes{});
    }
    [[nodiscard]] Bytes receive(size_t size) {
        Bytes out(size);
        const ssize_t n = ::recv(process(), out.data(), size, MSG_WAITALL);
        out.resize(n < 0 ? 0 : static_cast<size_t>(n));
        return out;
    }
    [[nodiscard]] bool is_silent() {
        uint8_t byte = 0;
        return ::recv(process(), &byte, 1, MSG_DONTWAIT) < 0;
    }
    void close_process() {
        ::close(ends_[1]);
        ends_[1] = -1;
    }
    [[nodiscard]] int node() const { return ends_[0]; }
    [[nodiscard]] int process() const { return ends_[1]; }

private:
    int ends_[2] = {-1, -1};
    std::thread node_;
    Result<Done, FrameError> sent_ = Done{};
};

TEST_F(Way, a_request_arrives_whoever_its_process_is) {
    const Request request = large_request();
    for (const int pid : {::getpid(), ::getppid(), -1}) {
        send(request, pid);
        const auto got = read_request(process(), kSoon_ms);
        EXPECT_TRUE(sent());
        ASSERT_TRUE(got) << pid;
        EXPECT_EQ(encode_request(*got), encode_request(request)) << pid;
        EXPECT_TRUE(is_silent());
    }
}

TEST_F(Way, large_fields_do_not_pass_through_the_socket) {
    const Request request = large_request();
    const auto& fields = pieces_of(std::get<AuditRequest>(request)).large;
    send(request, ::getpid());
    EXPECT_FALSE(read_announced_head().empty());
    std::vector<Bytes> memory;
    std::vector<uint64_t> places{static_cast<uint64_t>(::getpid())};
    for (const BytesView field : fields) {
        memory.emplace_back(field.size());
        places.push_back(reinterpret_cast<uintptr_t>(memory.back().data()));
    }
    ASSERT_TRUE(write_frame(process(), joined(places), kSoon_ms));
    EXPECT_EQ(receive(1), Bytes{1});
    EXPECT_TRUE(sent());
    EXPECT_TRUE(is_silent());
    for (size_t k = 0; k < fields.size(); ++k)
        EXPECT_EQ(memory[k], Bytes(fields[k].begin(), fields[k].end())) << k;
}

TEST_F(Way, fields_come_bare_where_there_is_no_such_memory_or_another_process_asks) {
    const Request request = large_request();
    const Pieces pieces = pieces_of(std::get<AuditRequest>(request));
    const size_t bare = pieces.size() - pieces.head.size() - sizeof(uint64_t);
    const auto self = static_cast<uint64_t>(::getpid());
    void* closed = ::mmap(nullptr, size_t{64} << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(closed, MAP_FAILED);
    const auto read_only = reinterpret_cast<uintptr_t>(closed);
    using Place = std::pair<uint64_t, uint64_t>;  // process and address
    constexpr uint64_t kNowhere = 4096, kBeyondAll = UINT64_MAX;
    for (const auto& [pid, address] :
         {Place{self, kNowhere}, Place{self, kBeyondAll}, Place{self, read_only},
          Place{self + 1, kNowhere}, Place{UINT64_MAX, kNowhere}}) {
        send(request, ::getpid());
        EXPECT_EQ(read_announced_head(), pieces.head);
        std::vector<uint64_t> places(1 + pieces.large.size(), address);
        places[0] = pid;
        ASSERT_TRUE(write_frame(process(), joined(places), kSoon_ms));
        EXPECT_EQ(receive(1), Bytes{0}) << pid << " " << address;
        const Bytes rest = receive(bare);
        EXPECT_TRUE(sent());
        Bytes all;
        for (const BytesView field : pieces.large) append(all, field);
        EXPECT_EQ(rest, all);
    }
    ::munmap(closed, size_t{64} << 20);
}

TEST_F(Way, rejects_too_few_and_too_many_places) {
    const Request request = large_request();
    const size_t fields = pieces_of(std::get<AuditRequest>(request)).large.size();
    for (const size_t places : {size_t{0}, fields - 1, fields + 1, size_t{100'000}}) {
        send(request, ::getpid());
        EXPECT_FALSE(read_announced_head().empty());
        const auto self = static_cast<uint64_t>(::getpid());
        const std::vector<uint64_t> numbers(1 + places, self);
        Bytes frame = joined(numbers);
        Bytes size;
        append_le<uint64_t>(size, frame.size());
        ASSERT_EQ(::send(process(), size.data(), size.size(), 0), 8);
        const auto due = places < fields ? FrameError::malformed : FrameError::too_large;
        if (places < fields) {
            ASSERT_EQ(::send(process(), frame.data(), frame.size(), 0),
                      static_cast<ssize_t>(frame.size()));
        }
        EXPECT_EQ(sent().error(), due) << places;
    }
}

TEST_F(Way, a_node_waits_neither_for_a_silent_nor_for_a_dead_process) {
    const Request request = large_request();
    send(request, ::getpid(), 50);
    EXPECT_EQ(sent().error(), FrameError::timed_out);
    EXPECT_FALSE(read_announced_head().empty());
    send(request, ::getpid());
    EXPECT_FALSE(read_announced_head().empty());
    close_process();
    EXPECT_EQ(sent().error(), FrameError::closed);
}

TEST_F(Way, short_requests_come_bare_and_unannounced) {
    AuditRequest small;
    small.job.data = varied(1000, 1);
    send(small, ::getpid());
    EXPECT_TRUE(read_announced_head().empty());
    EXPECT_TRUE(sent());
}

TEST_F(Way, a_process_takes_an_announced_request_either_way_and_no_nonsense) {
    ReplayRequest replay;
    replay.first_state = varied(3'000'000, 6);
    const Pieces pieces = pieces_of(replay);
    const auto announce = [&] {
        EXPECT_TRUE(write_frame(node(), {}, kSoon_ms));
        EXPECT_TRUE(write_frame(node(), pieces.head, kSoon_ms));
    };
    const auto answer = [&](uint8_t byte) {
        const auto places = read_frame(node(), 24, kSoon_ms);
        ASSERT_TRUE(places);
        EXPECT_EQ(load_le<uint64_t>(places->data()), static_cast<uint64_t>(::getpid()));
        EXPECT_EQ(load_le<uint64_t>(places->data() + 8), 0u) << "the data set is empty";
        EXPECT_EQ(::send(node(), &byte, 1, 0), 1);
    };
    Result<Request, FrameError> got = unexpected(FrameError::closed);
    const auto read_while = [&](const auto& node_part) {
        std::thread reader([&] { got = read_request(process(), kSoon_ms); });
        node_part();
        reader.join();
    };
    read_while([&] {
        announce();
        answer(0);
        for (const BytesView field : pieces.large)
            EXPECT_EQ(::send(node(), field.data(), field.size(), 0),
                      static_cast<ssize_t>(field.size()));
    });
    ASSERT_TRUE(got);
    EXPECT_EQ(std::get<ReplayRequest>(*got).first_state, replay.first_state);
    read_while([&] {
        announce();
        answer(2);
    });
    EXPECT_EQ(got.error(), FrameError::malformed);
    read_while([&] {
        EXPECT_TRUE(write_frame(node(), {}, kSoon_ms));
        EXPECT_TRUE(write_frame(node(), {}, kSoon_ms));
    });
    EXPECT_EQ(got.error(), FrameError::malformed);
    read_while([&] {
        announce();
        ::shutdown(node(), SHUT_WR);
    });
    EXPECT_EQ(got.error(), FrameError::closed);
}

/// A program whose states have a few pieces, and one of them. `found`: its root.
struct State {
    training::Program program;
    Bytes blob;
    Hash found;

    State() {
        training::GptOptions o = training::small_options();
        o.vocabulary = 4000, o.width = 256;
        program = *training::make_gpt(o);
        const auto state = training::make_initial_state(program, training::seed_of(5));
        blob = training::encode_state(state, training::program_id(program));
        found = *training::blob_root(program, blob);
    }
    [[nodiscard]] OpenLastState open() const {
        return [this](const JobCase&, uint64_t size) {
            return training::PiecewiseRoot(program, size);
        };
    }
    static const State& get() {
        static const State state;
        return state;
    }
};

/// Two audits of it, the second with another byte at the end.
AuditRequest stateful_request() {
    AuditRequest out = large_request();
    out.audits.resize(2);
    Bytes changed = State::get().blob;
    changed.back() ^= 1;
    out.audits[0].segment.last_state = State::get().blob;
    out.audits[1].segment.last_state = std::move(changed);
    return out;
}

TEST_F(Way, a_last_state_arrives_as_its_root_whichever_way_it_comes) {
    ASSERT_GT(State::get().blob.size(), 2 * training::PiecewiseRoot::kPieceBytes);
    const AuditRequest request = stateful_request();
    for (const int pid : {::getpid(), ::getppid()}) {
        send(request, pid);
        const auto got = read_request(process(), kSoon_ms, State::get().open());
        EXPECT_TRUE(sent());
        ASSERT_TRUE(got) << pid;
        EXPECT_TRUE(is_silent());
        const auto& audits = std::get<AuditRequest>(*got).audits;
        ASSERT_EQ(audits.size(), 2u);
        for (size_t k = 0; k < 2; ++k) {
            EXPECT_TRUE(audits[k].segment.last_state.empty());
            ASSERT_TRUE(audits[k].segment.last_found && *audits[k].segment.last_found);
            EXPECT_EQ(**audits[k].segment.last_found == State::get().found, k == 0) << pid;
            EXPECT_EQ(audits[k].bundle, request.audits[k].bundle);
        }
        EXPECT_EQ(std::get<AuditRequest>(*got).job.data, request.job.data);
    }
}

TEST_F(Way, a_field_that_is_no_state_is_read_past_and_the_next_request_follows) {
    const AuditRequest wrong = large_request();
    ASSERT_LT(wrong.audits[0].segment.last_state.size(), State::get().blob.size());
    for (const int pid : {::getpid(), ::getppid()}) {
        send(wrong, pid);
        const auto got = read_request(process(), kSoon_ms, State::get().open());
        EXPECT_TRUE(sent());
        ASSERT_TRUE(got);
        const auto& found = std::get<AuditRequest>(*got).audits[0].segment.last_found;
        ASSERT_TRUE(found);
        EXPECT_EQ(found->error(), training::StateError::truncated);
        EXPECT_FALSE(std::get<AuditRequest>(*got).audits[2].segment.last_found) << "it is empty";
        EXPECT_TRUE(is_silent());
    }
}

/// Bytes that /proc says of this process.
uint64_t own_bytes(const std::string& name) {
    std::ifstream status("/proc/self/status");
    std::string line;
    while (std::getline(status, line))
        if (line.starts_with(name)) return std::stoull(line.substr(name.size())) << 10;
    return 0;
}

TEST_F(Way, a_last_state_is_never_whole_in_the_memory_of_its_process) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "sanitizers keep freed memory and have memory of their own";
#endif
    const AuditRequest request = stateful_request();
    const size_t others = request.audits[0].bundle.size() + request.job.data.size();
    std::ofstream("/proc/self/clear_refs") << 5;  // forgets the peak
    const uint64_t before = own_bytes("VmRSS:");
    send(request, ::getpid());
    ASSERT_TRUE(read_request(process(), kSoon_ms, State::get().open()));
    EXPECT_TRUE(sent());
    const uint64_t taken = own_bytes("VmHWM:") - before;
    constexpr uint64_t kPieces = 2 * training::PiecewiseRoot::kPieceBytes, kBeside = 4 << 20;
    ASSERT_GT(State::get().blob.size(), kPieces + kBeside);
    EXPECT_LT(taken, kPieces + others + kBeside);
}

TEST_F(Way, a_node_serves_pieces_in_order_bare_where_it_must_and_no_more_than_the_field) {
    AuditRequest request;
    request.job.data = varied(2'000'000, 1);
    request.audits.resize(1);
    request.audits[0].segment.last_state = varied(1000, 2);
    const BytesView state = request.audits[0].segment.last_state;
    Bytes data(2'000'000), room(600);
    const auto self = static_cast<uint64_t>(::getpid());
    const auto at = [](const Bytes& b) { return reinterpret_cast<uintptr_t>(b.data()); };
    const auto wish = [&](uint64_t address, uint64_t size) {
        const Bytes words = joined({address, size});
        EXPECT_EQ(::send(process(), words.data(), words.size(), 0), 16);
    };
    for (const bool asks_too_much : {false, true}) {
        send(request, ::getpid());
        EXPECT_FALSE(read_announced_head().empty());
        ASSERT_TRUE(write_frame(process(), joined({self, at(data), 0, 0}), kSoon_ms));
        EXPECT_EQ(receive(1), Bytes{1});
        wish(at(room), 600);
        EXPECT_EQ(receive(1), Bytes{1});
        EXPECT_TRUE(std::equal(room.begin(), room.end(), state.begin()));
        wish(4096, 300);  // where nothing is
        EXPECT_EQ(receive(1), Bytes{0});
        const BytesView bare = state.subspan(600, 300);
        EXPECT_EQ(receive(300), Bytes(bare.begin(), bare.end()));
        wish(at(room), asks_too_much ? 101 : 0);
        if (asks_too_much)
            EXPECT_EQ(sent().error(), FrameError::malformed);
        else
            EXPECT_TRUE(sent()) << "the process may have enough";
        EXPECT_TRUE(is_silent());
    }
}

TEST(placing, is_late_after_its_deadline_and_refused_by_a_process_that_ended) {
    const Bytes bytes = varied(100, 1);
    const std::vector<BytesView> fields{bytes};
    Bytes memory(bytes.size());
    const Places here{::getpid(), {reinterpret_cast<uintptr_t>(memory.data())}};
    const auto now = std::chrono::steady_clock::now();
    EXPECT_EQ(place(here, fields, 2, now), Placing::late);
    EXPECT_EQ(memory, Bytes(bytes.size()));
    EXPECT_EQ(place(here, fields, 2, {}), Placing::done);
    EXPECT_EQ(memory, bytes);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    ::waitpid(child, nullptr, 0);
    EXPECT_EQ(place({child, here.addresses}, fields, 2, {}), Placing::refused);
}

/// Bytes of private memory that this process may write to: what RLIMIT_DATA limits.
uint64_t data_bytes() {
    std::ifstream status("/proc/self/status");
    std::string line;
    while (std::getline(status, line))
        if (line.starts_with("VmData:")) return std::stoull(line.substr(7)) << 10;
    return 0;
}

TEST(content, room_for_a_field_counts_as_data_and_takes_no_more_than_the_field) {
    constexpr size_t kSize = 50'000'001;
    const uint64_t before = data_bytes();
    {
        Blank blank(kSize);
        const uint64_t taken = data_bytes() - before;
        EXPECT_GE(taken, kSize);
        EXPECT_LE(taken, kSize + (64 << 10));
        blank.bytes().back() = 7;
        const Content content = std::move(blank).take();
        const Content copy = content;
        EXPECT_EQ(copy.data(), content.data()) << "copies share the bytes";
        EXPECT_EQ(BytesView(copy).back(), 7);
        EXPECT_EQ(data_bytes() - before, taken);
    }
    EXPECT_LE(data_bytes(), before + (64 << 10));
    EXPECT_EQ(Blank(0).bytes().size(), 0u);
    EXPECT_EQ(Content(), Content(Bytes{}));
    EXPECT_FALSE((Content{1, 2} == Content{1, 3}));
}

}  // namespace
}  // namespace trainyard::node::verify
