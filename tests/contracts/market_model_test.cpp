// SPDX-License-Identifier: Apache-2.0
// Random calls by honest, lying and vanishing roles; after each, money and segments obey the
// invariants.
#include <gtest/gtest.h>

#include "market_model.hpp"

namespace trainyard::contracts {
namespace {

using node::wallet::BookingKind;

#if defined(__SANITIZE_ADDRESS__)
constexpr int kSeeds = 16;  // each takes more than twenty times as long
#else
constexpr int kSeeds = 64;
#endif
constexpr int kSeedsForAll = 64;  ///< what is rare has happened, too
constexpr int kSteps = 900;
constexpr int kStepsPerCheck = 4;
constexpr int kStepsPerBooks = 100;

TEST(market_model, random_calls_keep_money_and_segments_in_order) {
    Counts n;
    for (uint64_t seed = 1; seed <= kSeeds && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        MarketModel model(seed);
        for (int i = 0; i < kSteps && !testing::Test::HasFailure(); ++i) {
            SCOPED_TRACE("step " + std::to_string(i));
            model.step();
            if (i % kStepsPerCheck == 0) model.check();
            if (i % kStepsPerBooks == 0) model.check_earnings();
        }
        model.wind_up();
        for (const auto& [what, count] : model.counts()) n[what] += count;
    }
    EXPECT_GT(n["segments paid"], kSeeds * 2u) << "the runs must reach the end of audits";
    EXPECT_GT(n["bonds slashed"], kSeeds / 2u) << "and find frauds";
    if (kSeeds < kSeedsForAll) return;
    for (const char* what : {"audits postponed", "audits that waited", "challenges won",
                             "challenges lost", "disputes won", "disputes lost", "appeals won",
                             "appeals lost", "divergences paid", "divergences refuted"})
        EXPECT_GT(n[what], 0u) << what;
    for (const auto kind : {BookingKind::fine, BookingKind::slash, BookingKind::appeal_bond,
                            BookingKind::appeal_return, BookingKind::challenge_half,
                            BookingKind::dispute_half, BookingKind::fine_half})
        EXPECT_GT(n[std::string(node::wallet::to_text(kind))], 0u) << node::wallet::to_text(kind);
    EXPECT_GT(n["challenges reclaimed"] + n["disputes reclaimed"] + n["appeals reclaimed"], 0u);
    for (const auto& [what, count] : n) std::printf("%zu %s\n", count, what.c_str());
}

}  // namespace
}  // namespace trainyard::contracts
