// SPDX-License-Identifier: Apache-2.0
// An audit service that others look at while it ends.
#include "node/verify/audit_service.hpp"

#include <atomic>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

namespace trainyard::node::verify {
namespace {

TEST(audit_service, tells_its_status_while_it_stops_and_afterwards) {
    const auto folder =
        std::filesystem::temp_directory_path() / ("trainyard-audits-" + std::to_string(::getpid()));
    AuditServiceOptions options;
    options.rpc_url = "http://127.0.0.1:1";  // nobody answers
    options.account[31] = 1;
    options.folder = folder.string();
    options.program = "/bin/false";  // nor does the verifier
    auto service = AuditService::start(std::move(options));
    ASSERT_TRUE(service) << service.error();
    std::atomic<bool> has_stopped{false};
    std::thread asker([&] {
        while (!has_stopped) EXPECT_FALSE((*service)->status().verifier.empty());
    });
    (*service)->stop();
    has_stopped = true;
    asker.join();
    EXPECT_FALSE((*service)->status().verifier.empty());
    (*service)->stop();  // does no harm
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace trainyard::node::verify
