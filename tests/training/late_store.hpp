// SPDX-License-Identifier: Apache-2.0
// A store of gradients that reads what it was given as late as it may, and can fail.
#pragma once

#include <gtest/gtest.h>

#include "training/gradient_log.hpp"
#include "training/state_root.hpp"

namespace trainyard::training {

/// Hashes a set when it is waited for; all from number `fails_at` on cannot be kept.
class LateStore final : public GradientStore {
public:
    explicit LateStore(std::vector<Shape> shapes, size_t fails_at = SIZE_MAX)
        : shapes_(std::move(shapes)), fails_at_(fails_at) {}
    void start(std::vector<std::span<const float>> set) override {
        EXPECT_TRUE(open_.empty()) << "one set at a time";
        open_ = std::move(set);
        ++started;
    }
    bool wait() override {
        if (open_.empty()) return started <= fails_at_;
        std::vector<Tensor> set;
        for (size_t k = 0; k < open_.size(); ++k)
            set.push_back({shapes_[k], Floats(open_[k].begin(), open_[k].end())});
        open_.clear();
        roots.push_back(grad_root(set));
        return started <= fails_at_;
    }
    size_t started = 0;
    std::vector<Hash> roots;

private:
    std::vector<Shape> shapes_;
    size_t fails_at_;
    std::vector<std::span<const float>> open_;
};

}  // namespace trainyard::training
