// SPDX-License-Identifier: Apache-2.0
// Several disputes of one node at a time.
#include "node/verify/own_disputes.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "fake_market.hpp"
#include "node/wallet/files.hpp"
#include "small_job.hpp"

namespace trainyard::test {
namespace {

using namespace node::verify;
using wallet::SegmentState;

/// Says of which segments it is asked for moves.
class Asked final : public Verifier {
public:
    std::string name() override { return "asked"; }
    Result<std::vector<AuditResult>, VerifyError> audit(const AuditRequest&) override {
        return unexpected(VerifyError{});
    }
    AuditResult replay(const ReplayRequest&) override { return unexpected(VerifyError{}); }
    Result<Pick, VerifyError> pick(const PickRequest& request) override {
        order += std::to_string(request.segment.claim.first_step / request.segment.claim.steps);
        return Pick(0);
    }
    void rest() override { order += "-"; }

    std::string order;
};

/// Three segments of one job before the referee, by this node, and it is its turn in each.
struct Case {
    std::shared_ptr<FakeLedger> ledger = std::make_shared<FakeLedger>();
    std::unique_ptr<wallet::MarketApi> market = fake_market(ledger, {});
    Asked verifier;
    std::vector<std::function<void()>> tasks;
    const std::string path =
        testing::TempDir() + "own_disputes_" + std::to_string(getpid()) + ".csv";
    wallet::Dues dues{path};
    OwnDisputes disputes{*market, verifier, dues, options()};

    Case() {
        auto& job = ledger->jobs[ledger->post(publish_small_job(*market), {})];
        job.segments.resize(3);
        for (auto& book : job.segments) {
            book.segment.state = SegmentState::disputed;
            book.segment.state_blob = *market->put_blob(Bytes(100, 7));
            book.dispute.is_challengers = true;
        }
    }
    ~Case() { wallet::remove_file(path); }
    OwnDisputesOptions options() {
        OwnDisputesOptions out;
        out.background = [this](std::function<void()> task) { tasks.push_back(std::move(task)); };
        return out;
    }
    bool look(uint32_t seg, uint64_t deadline) {
        auto& book = ledger->jobs[0];
        book.segments[seg].segment.phase_deadline = deadline;
        CaseRequest request;
        request.spec = book.spec;
        request.seat = {0, seg, 0, SegmentState::disputed};
        request.segment = book.segments[seg].segment;
        request.limits = ledger->limits;
        return disputes.on_disputed(request).is_busy;
    }
    void work() {
        for (const auto& task : std::exchange(tasks, {})) task();
    }
};

TEST(own_disputes, of_the_turns_that_wait_the_one_that_is_due_first_is_played_first) {
    Case c;
    EXPECT_TRUE(c.look(0, 300) && c.look(1, 100) && c.look(2, 200));
    EXPECT_TRUE(c.look(0, 300)) << "queued once";
    c.work();
    EXPECT_EQ(c.verifier.order, "120");
}

TEST(own_disputes, the_verifier_rests_when_the_last_of_them_is_over) {
    Case c;
    c.disputes.free_memory();
    c.work();
    EXPECT_EQ(c.verifier.order, "") << "nothing has been asked";
    EXPECT_TRUE(c.look(0, 300) && c.look(1, 300));
    c.disputes.on_elsewhere({0, 0, 0, SegmentState::void_});
    c.disputes.free_memory();
    c.work();
    EXPECT_EQ(c.verifier.order, "1") << "one is over, and its turn is not played";
    c.disputes.keep_only(0, 0, 1);
    c.disputes.free_memory();
    c.disputes.free_memory();
    EXPECT_TRUE(c.look(0, 300)) << "one that is open again";
    c.work();
    EXPECT_EQ(c.verifier.order, "1-0");
}

}  // namespace
}  // namespace trainyard::test
