// SPDX-License-Identifier: Apache-2.0
// Reports of double votes do not get lost while their node cannot be reached.
#include "node/verify/slash_reporter.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>

namespace trainyard::node::verify {
namespace {

/// How often the reporter has begun with each validator.
class Heard {
public:
    void hear(const std::string& text) {
        const std::lock_guard lock(mutex_);
        for (const char last : {'1', '2'})
            if (text.find(std::string(39, '0') + last) != std::string::npos) ++count_[last];
        more_.notify_all();
    }
    [[nodiscard]] bool wait_for(char last, int count) {
        std::unique_lock lock(mutex_);
        return more_.wait_for(lock, std::chrono::seconds(60),
                              [&] { return count_[last] >= count; });
    }

private:
    std::mutex mutex_;
    std::condition_variable more_;
    std::map<char, int> count_;
};

Address validator(uint8_t last) {
    Address out;
    out.bytes[19] = last;
    return out;
}

TEST(slash_reporter, goes_on_with_every_report_until_its_node_answers) {
    Heard heard;
    SlashReporterOptions options;
    options.rpc_url = "http://127.0.0.1:1";  // nobody listens there
    options.account.bytes[31] = 1;
    options.retry_ms = 1;
    options.say = [&heard](const std::string& text) { heard.hear(text); };
    auto reporter = SlashReporter::start(std::move(options));
    ASSERT_TRUE(reporter) << reporter.error();
    (*reporter)->report(validator(1), Bytes{1});
    (*reporter)->report(validator(1), Bytes{2});
    (*reporter)->report(validator(2), Bytes{3});
    EXPECT_TRUE(heard.wait_for('1', 2));
    EXPECT_TRUE(heard.wait_for('2', 2));
    EXPECT_EQ((*reporter)->slashed(), 0U);
}

}  // namespace
}  // namespace trainyard::node::verify
