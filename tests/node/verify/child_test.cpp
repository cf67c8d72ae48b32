// SPDX-License-Identifier: Apache-2.0
// Child processes and the supervised verifier: deaths, silence and nonsense do not hurt the node.
#include "node/verify/child_verifier.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/verify/answer_book.hpp"
#include "node/verify/child_process.hpp"
#include "node/verify/transfer.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::verify {
namespace {

std::string temporary(const std::string& name) {
    return (std::filesystem::temp_directory_path() /
            ("verify_test_" + std::to_string(::getpid()) + "_" + name))
        .string();
}

/// A stand-in for the trainyard program: a shell script that is called with the same arguments.
std::string script(const std::string& name, const std::string& body) {
    const auto path = temporary(name);
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
}

TEST(child_process, tells_the_exit_code_and_is_collected) {
    auto child = ChildProcess::start({{"/bin/sh", "-c", "exit 7"}, "", -1, 0, false});
    ASSERT_TRUE(child);
    while (child->is_running()) std::this_thread::yield();
    EXPECT_EQ(child->exit_code(), 7);
}

TEST(child_process, gets_large_pages_where_it_asks_for_them_and_has_no_tunables) {
    const auto has_tunables = [](bool huge_pages) {
        auto child = ChildProcess::start(
            {{"/bin/sh", "-c", "test -n \"$GLIBC_TUNABLES\""}, "", -1, 0, false, huge_pages});
        EXPECT_TRUE(child);
        while (child->is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        return child->exit_code() == 0;
    };
    EXPECT_TRUE(has_tunables(true));
    EXPECT_FALSE(has_tunables(false));
}

TEST(child_process, one_that_ignores_the_polite_signal_is_killed) {
    auto child =
        ChildProcess::start({{"/bin/sh", "-c", "trap '' TERM; exec sleep 60"}, "", -1, 0, true});
    ASSERT_TRUE(child);
    const int pid = child->pid();
    child->stop(100);
    EXPECT_FALSE(child->is_running());
    EXPECT_NE(::kill(pid, 0), 0);
}

TEST(child_process, does_not_outlive_the_thread_that_started_it) {
    std::unique_ptr<ChildProcess> kept;
    std::thread([&] {
        auto child = ChildProcess::start({{"/bin/sleep", "60"}, "", -1, 0, false});
        ASSERT_TRUE(child);
        kept = std::make_unique<ChildProcess>(std::move(*child));  // not stopped by us
    }).join();
    ASSERT_NE(kept, nullptr);
    for (int i = 0; i < 2000; ++i) {
        if (!kept->is_running()) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "still alive";
}

TEST(child_process, rejects_a_program_that_is_not_there) {
    const auto child = ChildProcess::start({{"/nonexistent/program"}, "", -1, 0, false});
    ASSERT_FALSE(child);
    EXPECT_NE(child.error().find("/nonexistent/program"), std::string::npos);
}

TEST(child_verifier, one_that_dies_is_started_again_and_then_given_up) {
    ChildVerifierOptions options;
    options.program = script("dies", "exit 3");
    options.timeout_ms = 2000;
    ChildVerifier verifier(options);
    const auto answer = verifier.audit({});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, VerifyErrorCode::died);
    EXPECT_EQ(verifier.counters().started, 3u);
    EXPECT_EQ(verifier.counters().died, 3u);
}

TEST(child_verifier, one_that_says_nothing_is_replaced_after_its_time) {
    ChildVerifierOptions options;
    options.program = script("silent", "exec sleep 60");
    options.timeout_ms = 100;
    ChildVerifier verifier(options);
    const auto answer = verifier.audit({});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, VerifyErrorCode::timed_out);
    EXPECT_EQ(verifier.counters().timed_out, 3u);
}

TEST(child_verifier, all_attempts_together_take_no_longer_than_the_patience) {
    ChildVerifierOptions options;
    options.program = script("patient", "exec sleep 60");
    options.timeout_ms = 60'000;
    ChildVerifier verifier(options);
    AuditRequest audit;
    audit.patience_ms = 150;
    ReplayRequest replay;
    replay.patience_ms = 150;
    PickRequest turn;
    turn.segment.patience_ms = 150;
    const auto begin = std::chrono::steady_clock::now();
    const auto audited = verifier.audit(audit);
    const auto replayed = verifier.replay(replay);
    const auto picked = verifier.pick(turn);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
    ASSERT_FALSE(audited);
    ASSERT_FALSE(replayed);
    EXPECT_EQ(audited.error().code, VerifyErrorCode::timed_out);
    EXPECT_EQ(replayed.error().code, VerifyErrorCode::timed_out);
    ASSERT_FALSE(picked);
    EXPECT_EQ(picked.error().code, VerifyErrorCode::timed_out);
    EXPECT_EQ(verifier.counters().started, 3u) << "one process for each, no second attempt";
}

TEST(child_verifier, waiting_for_another_request_counts_as_patience) {
    ChildVerifierOptions options;
    options.program = script("busy", "exec sleep 60");
    options.timeout_ms = 60'000;
    ChildVerifier verifier(options);
    AuditRequest longer, shorter;
    longer.patience_ms = 1500;
    shorter.patience_ms = 100;
    std::thread other([&] { (void)verifier.audit(longer); });
    while (verifier.counters().started == 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const auto answer = verifier.audit(shorter);
    other.join();
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, VerifyErrorCode::timed_out);
    EXPECT_EQ(verifier.counters().started, 1u) << "its time was over before its turn";
}

TEST(child_verifier, rejects_an_answer_that_is_no_message) {
    ChildVerifierOptions options;
    options.program = script(
        "nonsense", "printf '\\004\\000\\000\\000\\000\\000\\000\\000junk' >&3; exec sleep 60");
    options.timeout_ms = 2000;
    ChildVerifier verifier(options);
    EXPECT_FALSE(verifier.audit({}));
}

TEST(child_verifier, rejects_a_length_that_no_answer_has_and_does_not_wait_for_it) {
    ChildVerifierOptions options;
    options.program =
        script("endless", "printf '\\377\\377\\377\\377\\007\\000\\000\\000' >&3; exec sleep 60");
    options.timeout_ms = 60'000;
    ChildVerifier verifier(options);
    const auto begin = std::chrono::steady_clock::now();
    const auto answer = verifier.audit({});
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().text, "the verifier process answered nonsense");
}

TEST(child_verifier, is_told_to_use_the_cpu_after_two_failures) {
    const auto seen = temporary("arguments");
    ChildVerifierOptions options;
    options.program = script("records", "echo \"$@\" >> " + seen + "; exit 1");
    options.timeout_ms = 2000;
    ChildVerifier verifier(options);
    EXPECT_FALSE(verifier.audit({}));
    std::ifstream in(seen);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_EQ(lines[0].find("--no-cuda"), std::string::npos);
    EXPECT_NE(lines[2].find("--no-cuda"), std::string::npos);
    std::filesystem::remove(seen);
}

TEST(child_verifier, an_interrupt_ends_a_request_in_progress) {
    ChildVerifierOptions options;
    options.program = script("waits", "exec sleep 60");
    options.timeout_ms = 60'000;
    ChildVerifier verifier(options);
    std::thread stopper([&] {
        while (verifier.pid() < 0) std::this_thread::yield();
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        verifier.interrupt();
    });
    EXPECT_FALSE(verifier.audit({}));
    stopper.join();
}

TEST(child_verifier, has_no_process_while_it_rests) {
    ChildVerifierOptions options;
    options.program = script("rests", "exec sleep 60");
    ChildVerifier verifier(options);
    verifier.rest();
    AuditRequest request;
    request.patience_ms = 100;
    for (uint64_t times = 1; times <= 2; ++times) {
        EXPECT_FALSE(verifier.audit(request));
        EXPECT_EQ(verifier.counters().started, times);
        verifier.rest();
        EXPECT_EQ(verifier.pid(), -1);
    }
    EXPECT_EQ(verifier.counters().died, 0u);
}

TEST(child_verifier, hears_what_its_process_prints_by_lines_that_a_log_can_show) {
    ChildVerifierOptions options;
    options.program = script("prints", "printf '\\033[2Jout\\n'; echo err >&2; cat; exit 1");
    std::mutex mutex;
    std::vector<std::string> heard;
    options.hear = [&](const std::string& line) {
        const std::lock_guard lock(mutex);
        heard.push_back(line);
    };
    options.timeout_ms = 60'000;
    {
        ChildVerifier verifier(options);
        EXPECT_FALSE(verifier.audit({}));
    }
    const std::vector<std::string> once{"?[2Jout", "err"};
    ASSERT_EQ(heard.size(), 3 * once.size()) << "three attempts, and nothing to read from stdin";
    EXPECT_TRUE(std::equal(once.begin(), once.end(), heard.begin()));
}

TEST(serve_verifier, answers_its_name_and_refuses_what_is_malformed) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    const auto verifier = make_local_verifier(BackendOptions{1, false});
    std::thread server([&] { EXPECT_EQ(serve_verifier(ends[1], *verifier), 0); });
    ASSERT_TRUE(write_pieces(ends[0], pieces_of(NameRequest{}), 1000));
    const auto name = read_reply(ends[0], 0, 60'000);
    ASSERT_TRUE(name);
    EXPECT_FALSE(std::get<Introduction>(*name).name.empty());
    for (const auto& request :
         {Pieces{{1, 2, 3}, {}}, pieces_of(AuditRequest{}), pieces_of(PickRequest{})}) {
        ASSERT_TRUE(write_pieces(ends[0], request, 1000));
        const auto refusal = read_reply(ends[0], 0, 60'000);
        ASSERT_TRUE(refusal);
        EXPECT_EQ(std::get<VerifyError>(*refusal).code, VerifyErrorCode::bad_request);
    }
    ::close(ends[0]);
    server.join();
    ::close(ends[1]);
}

TEST(serve_verifier, ends_after_its_device_has_failed) {
    class Failed final : public Verifier {
        std::string name() override { return "failed"; }
        Result<std::vector<AuditResult>, VerifyError> audit(const AuditRequest&) override {
            return std::vector<AuditResult>{VerifyAnswer{}, replay({})};
        }
        AuditResult replay(const ReplayRequest&) override {
            return unexpected(VerifyError{VerifyErrorCode::device_failed, "it failed"});
        }
        Result<Pick, VerifyError> pick(const PickRequest&) override {
            return unexpected(replay({}).error());
        }
    } verifier;
    for (const Request& request :
         {Request(AuditRequest{}), Request(ReplayRequest{}), Request(PickRequest{})}) {
        int ends[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        std::thread server([&] { EXPECT_EQ(serve_verifier(ends[1], verifier), 1); });
        const Pieces pieces = std::visit([](const auto& r) { return pieces_of(r); }, request);
        ASSERT_TRUE(write_pieces(ends[0], pieces, 1000));
        EXPECT_TRUE(read_reply(ends[0], 0, 10'000));
        server.join();
        for (const int fd : ends) ::close(fd);
    }
}

TEST(answer_book, an_answer_survives_a_restart_until_it_is_forgotten) {
    const auto folder = temporary("book");
    const Seat seat{3, 1, 0, wallet::SegmentState::l1, 0};
    wallet::RevealedAnswer answer{wallet::Verdict::mismatch, {Hash{}}, Hash{}};
    answer.salt.bytes.fill(9);
    EXPECT_FALSE(AnswerBook(folder).find(seat));
    ASSERT_TRUE(AnswerBook(folder).keep(seat, answer));
    const auto found = AnswerBook(folder).find(seat);
    ASSERT_TRUE(found);
    EXPECT_EQ(encode_answer(*found), encode_answer(answer));
    const Seat other{3, 1, 0, wallet::SegmentState::l0, 0};
    EXPECT_FALSE(AnswerBook(folder).find(other));
    AnswerBook(folder).forget(seat);
    EXPECT_FALSE(AnswerBook(folder).find(seat));
    std::filesystem::remove_all(folder);
}

TEST(answer_book, knows_its_files_by_their_names_and_leaves_others_alone) {
    const auto folder = temporary("names");
    const std::vector<Seat> seats{
        {0, 0, 0, wallet::SegmentState::l0, 0},
        {UINT64_MAX, UINT32_MAX, 7, wallet::SegmentState::l1, 255},
    };
    for (const Seat& seat : seats)
        ASSERT_TRUE(AnswerBook(folder).keep(seat, {wallet::Verdict::match, {}, Hash{}}));
    for (const auto* name : {"kept-blobs.csv", "", "0", "0-0-0-l0-", "0-0-0-l2-0", "00-0-0-l0-0",
                             "0-0-0-l0-256", "0-0-0-l0-0.tmp", "-1-0-0-l0-0", "0-0-0-l0-0-",
                             "0-0-0-l", "18446744073709551616-0-0-l0-0", "0-0-0--0"}) {
        EXPECT_FALSE(Seat::from(name)) << name;
        EXPECT_EQ(wallet::write_text(folder + "/" + name, "x").has_value(), *name != 0);
    }
    EXPECT_EQ(AnswerBook(folder).seats(), seats);
    std::filesystem::remove_all(folder);
}

TEST(answer_book, rejects_damaged_files) {
    wallet::RevealedAnswer answer{wallet::Verdict::match, {Hash{}, Hash{}}, Hash{}};
    const auto encoded = encode_answer(answer);
    for (size_t size = 0; size < encoded.size(); ++size)
        EXPECT_FALSE(decode_answer(BytesView(encoded).first(size))) << size;
}

}  // namespace
}  // namespace trainyard::node::verify
