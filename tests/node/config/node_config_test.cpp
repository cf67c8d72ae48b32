// SPDX-License-Identifier: Apache-2.0
// Settings from file, environment and flags, and what is refused.
#include "node/config/node_config.hpp"

#include <gtest/gtest.h>

namespace trainyard::node::config {
namespace {

ConfigError toml_error(std::string_view text) {
    NodeConfig config;
    const auto done = apply_toml(config, text, "node.toml");
    EXPECT_FALSE(done) << text;
    return done ? ConfigError{} : done.error();
}

TEST(node_config, a_file_sets_what_it_names_and_nothing_else) {
    NodeConfig config;
    const auto done = apply_toml(
        config,
        "datadir = \"/d\"\n[http]\nport = 9000\ncorsdomain = [\"a\", \"b\"]\n[log]\njson = true\n",
        "node.toml");
    ASSERT_TRUE(done) << done.error().text();
    EXPECT_EQ(config.datadir, "/d");
    EXPECT_EQ(config.http_port, 9000);
    EXPECT_EQ(config.http_cors, (std::vector<std::string>{"a", "b"}));
    EXPECT_TRUE(config.log_json);
    EXPECT_EQ(config.p2p_port, NodeConfig{}.p2p_port);
}

TEST(node_config, later_sources_win_over_earlier_ones) {
    NodeConfig config;
    ASSERT_TRUE(apply_toml(config, "[http]\nport = 9000\naddr = \"1.1.1.1\"\n", "node.toml"));
    ASSERT_TRUE(
        apply_environment(config, [](const std::string& name) -> std::optional<std::string> {
            return name == "TRAINYARD_HTTP_PORT" ? std::optional<std::string>("9001")
                                                 : std::nullopt;
        }));
    EXPECT_EQ(config.http_port, 9001);
    ASSERT_TRUE(apply_setting(config, "http.port", "9002", "--http.port"));
    EXPECT_EQ(config.http_port, 9002);
    EXPECT_EQ(config.http_addr, "1.1.1.1");
}

TEST(node_config, what_is_written_reads_back_the_same) {
    NodeConfig config;
    for (const auto& [key, value] : {std::pair{"datadir", "a \"b\" \\c"},
                                     {"http.corsdomain", "x,y"},
                                     {"http.client-connections", "0"},
                                     {"http.proxies", "10.0.0.0/8,::1"},
                                     {"log.json", "true"},
                                     {"verifier.memory-mb", "100"},
                                     {"verifier.sandbox", "off"}})
        ASSERT_TRUE(apply_setting(config, key, value, "test"));
    const auto text = write_toml(config);
    NodeConfig again;
    const auto done = apply_toml(again, text, "effective");
    ASSERT_TRUE(done) << done.error().text() << "\n" << text;
    EXPECT_EQ(write_toml(again), text);
    EXPECT_EQ(again.datadir, config.datadir);
}

TEST(node_config, a_file_keeps_every_text) {
    NodeConfig config, again;
    config.datadir = "a \"b\" \\ c\n\t\x7f é";
    ASSERT_TRUE(apply_toml(again, write_toml(config), "effective"));
    EXPECT_EQ(again.datadir, config.datadir);
}

TEST(node_config, rejects_unknown_key_and_names_the_nearest) {
    const auto error = toml_error("[http]\nprot = 1\n");
    EXPECT_EQ(error.code, ConfigErrorCode::unknown_key);
    EXPECT_EQ(error.where, "node.toml:2");
    EXPECT_NE(error.text().find("did you mean 'http.port'?"), std::string::npos) << error.text();
}

TEST(node_config, rejects_values_of_the_wrong_type_or_range) {
    for (const auto* text :
         {"[http]\nport = 70000\n", "[http]\nport = -1\n", "[http]\nport = 1.5\n",
          "[http]\nport = true\n", "[http]\naddr = [\"a\"]\n", "[log]\njson = \"yes\"\n",
          "[log]\nlevel = \"loud\"\n", "[http]\ncorsdomain = \"a\"\n", "[verifier]\nthreads = 0\n",
          "[verifier]\nsandbox = \"maybe\"\n", "[verifier]\nsandbox = true\n",
          "[http]\ncorsdomain = [\"a,b\"]\n", "datadir = 1979-05-27\n"})
        EXPECT_EQ(toml_error(text).code, ConfigErrorCode::bad_value) << text;
}

TEST(node_config, rejects_broken_toml_with_its_line) {
    const auto error = toml_error("datadir = \"a\"\n[http\n");
    EXPECT_EQ(error.code, ConfigErrorCode::syntax);
    EXPECT_EQ(error.where, "node.toml:2");
}

TEST(node_config, a_refused_file_changes_nothing) {
    NodeConfig config;
    EXPECT_FALSE(apply_toml(config, "datadir = \"x\"\n[http]\nport = \"no\"\n", "node.toml"));
    EXPECT_EQ(config.datadir, NodeConfig{}.datadir);
}

}  // namespace
}  // namespace trainyard::node::config
