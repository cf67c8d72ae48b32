// SPDX-License-Identifier: Apache-2.0
// Whether a node begins with a state, and what it does with what earlier runs have left.
#include "node/cli/node_state.hpp"

#include <filesystem>

#include <gtest/gtest.h>

#include "state/snapshot.hpp"
#include "state/world.hpp"

namespace trainyard::node::cli {
namespace {

namespace fs = std::filesystem;

class node_state : public ::testing::Test {
protected:
    void SetUp() override {
        config_.datadir =
            (fs::temp_directory_path() / ("trainyard-begin-" + std::to_string(::getpid())))
                .string();
        config_.sync = "state";
        fs::create_directories(fetched());
    }
    void TearDown() override { fs::remove_all(config_.datadir); }

    [[nodiscard]] fs::path fetched() const { return fs::path(config_.datadir) / "sync"; }
    [[nodiscard]] Result<bool, std::string> begin() { return begins_with_state(config_, *store_); }
    void put(char table) {
        state::Batch batch;
        batch.put(Bytes{static_cast<uint8_t>(table), 1}, Bytes{2});
        ASSERT_TRUE(store_->write(batch, state::Durability::synced));
    }

    config::NodeConfig config_;
    std::unique_ptr<state::Kv> store_ = state::make_memory_kv();
};

TEST_F(node_state, a_state_is_synced_into_an_empty_store_if_it_is_asked_for) {
    EXPECT_EQ(begin().value(), true);
    config_.sync = "blocks";
    EXPECT_EQ(begin().value(), false);
}

TEST_F(node_state, what_an_import_has_left_goes_and_what_was_fetched_stays) {
    put('a');
    EXPECT_FALSE(state::World::open(*store_)) << "no chain may begin on top of that";
    EXPECT_EQ(begin().value(), true);
    EXPECT_FALSE(store_->get(Bytes{'a', 1}));
    EXPECT_TRUE(fs::exists(fetched()));
    EXPECT_TRUE(state::World::open(*store_));
}

TEST_F(node_state, rejects_records_that_no_state_sync_has_left_and_does_not_touch_them) {
    fs::remove_all(fetched());
    put('a');
    EXPECT_NE(begin().error().find("remove that folder"), std::string::npos);
    EXPECT_TRUE(store_->get(Bytes{'a', 1}));
}

TEST_F(node_state, a_store_with_a_chain_is_kept_and_what_was_fetched_goes) {
    state::Batch batch;
    batch.put(as_bytes("mhead"), Bytes{1});
    ASSERT_TRUE(store_->write(batch, state::Durability::synced));
    EXPECT_EQ(begin().value(), false);
    EXPECT_FALSE(fs::exists(fetched()));
}

TEST_F(node_state, rejects_settings_that_contradict_each_other) {
    config_.pruning = "archive";
    EXPECT_NE(begin().error().find("archive"), std::string::npos);
    config_.pruning = "validator";
    config_.trust = "12:0x34";
    EXPECT_NE(begin().error().find("EPOCH:HASH"), std::string::npos);
    config_.trust = "12:0x" + std::string(64, '3');
    EXPECT_EQ(begin().value(), true);
    config_.sync = "blocks";
    EXPECT_NE(begin().error().find("--sync state"), std::string::npos);
}

}  // namespace
}  // namespace trainyard::node::cli
