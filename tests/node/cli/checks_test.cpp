// SPDX-License-Identifier: Apache-2.0
// `provider check` and `node --check` on this machine.
#include <filesystem>
#include <map>
#include <sstream>

#include <arpa/inet.h>
#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/cli/app.hpp"
#include "node/cli/output.hpp"

namespace trainyard::node::cli {
namespace {

int run(std::vector<std::string> words) {
    words.insert(words.begin(), "trainyard");
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    return run_app(static_cast<int>(arguments.size()), arguments.data());
}

/// What a program reads from `provider check --json`: one object a line.
std::vector<boost::json::object> check_lines(const std::vector<std::string>& arguments, int due) {
    testing::internal::CaptureStdout();
    EXPECT_EQ(run(arguments), due);
    std::istringstream text(testing::internal::GetCapturedStdout());
    std::vector<boost::json::object> lines;
    for (std::string line; std::getline(text, line);)
        lines.push_back(boost::json::parse(line).as_object());
    return lines;
}

TEST(provider_check, measures_this_machine_and_says_what_is_required) {
    const auto lines =
        check_lines({"--json", "provider", "check", "--no-cuda", "--memory-mb", "16"}, kOk);
    std::string names;
    for (const auto& line : lines) {
        names += std::string(line.at("check").as_string()) + " ";
        EXPECT_TRUE(line.at("passed").as_bool()) << boost::json::serialize(line);
        EXPECT_FALSE(line.at("actual").as_string().empty());
        EXPECT_FALSE(line.at("required").as_string().empty());
    }
    EXPECT_EQ(lines[1].at("required").as_string(), "16 MiB (--memory-mb)");
    EXPECT_EQ(names, "driver memory disk self-test products bandwidth challenge ");
    ASSERT_EQ(lines.size(), 7u);
    EXPECT_GT(lines[4].at("topPerS").as_double(), 0);
    EXPECT_GT(lines[5].at("gBPerS").as_double(), 0);
}

TEST(provider_check, fails_with_advice_where_a_line_fails) {
    const auto lines = check_lines({"--json", "provider", "check", "--no-cuda", "--memory-mb",
                                    "4000000000", "--rpc", "http://127.0.0.1:1"},
                                   kFailed);
    ASSERT_EQ(lines.size(), 8u);
    EXPECT_FALSE(lines[1].at("passed").as_bool());
    EXPECT_NE(lines[1].at("advice").as_string().find("--memory-mb"), std::string::npos);
    EXPECT_FALSE(lines[7].at("passed").as_bool()) << "no node answers there";
}

/// One that is there, and empty before each test.
std::string folder() {
    static const auto path =
        std::filesystem::temp_directory_path() / ("checks_test_" + std::to_string(::getpid()));
    std::filesystem::create_directories(path);
    return path.string();
}

std::map<std::string, boost::json::object> node_check(const std::vector<std::string>& settings,
                                                      int due) {
    std::vector<std::string> words{"--json", "node", "--check", "--datadir", folder() + "/data"};
    words.insert(words.end(), settings.begin(), settings.end());
    std::map<std::string, boost::json::object> out;
    for (auto& line : check_lines(words, due)) {
        EXPECT_FALSE(line.at("actual").as_string().empty()) << boost::json::serialize(line);
        EXPECT_EQ(line.at("passed").as_bool(), !line.contains("advice"));
        out[std::string(line.at("check").as_string())] = std::move(line);
    }
    return out;
}

TEST(node_check, measures_this_machine_and_writes_nothing_that_stays) {
    const auto lines = node_check({"--http.port", "0", "--p2p.port", "0"}, kFailed);
    EXPECT_EQ(lines.size(), 9u) << "no self-test for a node that does not audit";
    EXPECT_FALSE(lines.at("settings").at("passed").as_bool()) << "there is no genesis";
    for (const auto* name : {"memory", "http port", "p2p port"})
        EXPECT_TRUE(lines.at(name).at("passed").as_bool())
            << boost::json::serialize(lines.at(name));
    EXPECT_GT(lines.at("disk syncs").at("mostMs").as_double(), 0);
    EXPECT_GE(lines.at("disk syncs").at("mostMs").as_double(),
              lines.at("disk syncs").at("medianMs").as_double());
    EXPECT_TRUE(std::filesystem::is_empty(folder()));
}

TEST(node_check, fails_with_advice_where_the_settings_ask_for_more_than_there_is) {
    const int held = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    ASSERT_EQ(::bind(held, reinterpret_cast<sockaddr*>(&at), size), 0);
    ASSERT_EQ(::listen(held, 1), 0);
    ASSERT_EQ(::getsockname(held, reinterpret_cast<sockaddr*>(&at), &size), 0);
    const auto lines =
        node_check({"--keys", folder() + "/none", "--verifier.memory-mb", "4000000000",
                    "--verifier.threads", "100000", "--blobs.quota-gb", "4000000000", "--http.port",
                    std::to_string(ntohs(at.sin_port)), "--p2p.port", "0", "--p2p.addr", "nowhere"},
                   kFailed);
    ::close(held);
    ASSERT_EQ(lines.size(), 10u);
    for (const auto* name : {"settings", "processors", "memory", "disk", "http port", "p2p port"})
        EXPECT_FALSE(lines.at(name).at("passed").as_bool()) << name;
    const auto advice = [&](const char* name) { return lines.at(name).at("advice").as_string(); };
    EXPECT_NE(advice("http port").find("http.port"), std::string::npos);
    EXPECT_NE(advice("disk").find("blobs.quota-gb"), std::string::npos);
    EXPECT_NE(advice("memory").find("verifier.memory-mb"), std::string::npos);
}

}  // namespace
}  // namespace trainyard::node::cli
