// SPDX-License-Identifier: Apache-2.0
// The self-test passes backends that follow the recipe, names what differs in others, and its
// committed hashes are those of the reference.
#include "training/self_test.hpp"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "training/graph.hpp"
#include "training/numerics/functions.hpp"
#include "training/operator_cases.hpp"
#include "training/reference/operators.hpp"

namespace trainyard::training {
namespace {

/// The table as it should stand in training/self_test.cpp.
std::string table_of(const std::vector<OperatorDigest>& digests) {
    std::string out;
    for (const auto& d : digests)
        out += "    Row{\"" + d.name + "\", \"" + to_hex(d.digest.bytes) + "\"},\n";
    return out;
}

TEST(self_test, committed_hashes_are_those_of_the_reference) {
    const auto reference = make_reference_backend();
    const auto digests = operator_digests(*reference);
    ASSERT_TRUE(digests) << digests.error();
    EXPECT_EQ(table_of(*digests), table_of(committed_digests()));
}

TEST(self_test, passes_every_cpu_path) {
    for (const CpuPath path : kCpuPaths) {
        if (!cpu_has(path)) continue;
        for (const unsigned threads : {1U, 2U}) {
            const auto backend = make_cpu_backend({path, threads});
            const auto passed = self_test(*backend);
            ASSERT_TRUE(passed) << backend->name() << ": " << passed.error();
            EXPECT_EQ(*passed, committed_digests().size());
        }
    }
}

TEST(self_test, names_the_first_operator_of_another_recipe) {
    const auto backend = make_fp32_backend();
    const auto passed = self_test(*backend);
    ASSERT_FALSE(passed);
    EXPECT_EQ(passed.error().find("attention 2x3x37x20: element 0 of output 0 is "), 0u)
        << passed.error();
}

TEST(self_test, knows_every_operator_of_graphs) {
    std::string all;
    for (const auto& d : committed_digests()) all += d.name + ", ";
    for (int number = 0; number < 256; ++number) {
        if (reference::find_kernel(static_cast<Op>(number)) == nullptr) continue;
        const std::string name(find_op(static_cast<Op>(number))->name);
        EXPECT_NE(all.find(name + ","), std::string::npos) << name;
    }
    for (const char* name : {"embedding", "rms_norm", "linear", "linear_grad", "attention",
                             "attention_full", "cross_entropy", "gelu_grad", "adamw", "sgd"})
        EXPECT_NE(all.find(std::string(name) + ","), std::string::npos) << name;
}

/// Which NaN arithmetic gives is up to a device, so that no hash may depend on one, but for that of
/// an update, which leaves one NaN for all.
TEST(self_test, compares_no_nan_but_the_one_of_updates) {
    const auto reference = make_reference_backend();
    std::set<std::string> with_nan;
    for (const OperatorCase& c : operator_cases()) {
        const auto outputs = run_case(*reference, c);
        ASSERT_TRUE(outputs);
        for (const Values& values : *outputs)
            for (const float x : values) {
                if (!std::isnan(x)) continue;
                ASSERT_EQ(bits_of(x), kNanBits) << c.name;
                with_nan.insert(c.name.substr(0, c.name.find(' ')));
            }
    }
    EXPECT_EQ(with_nan, (std::set<std::string>{"adamw", "sgd"}));
}

}  // namespace
}  // namespace trainyard::training
