// SPDX-License-Identifier: Apache-2.0
// The log of a segment's gradients as a file: written beside training, read when audits are served.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "training/gradient_log.hpp"

namespace trainyard::node::provider {

/// Writes set after set of binary32, little-endian, tensor after tensor, each by a thread of its
/// own. The file is a cache that any reader checks against the committed roots and that training
/// the segment again replaces: nothing is synced, and what a crash leaves is as good as it is. It
/// may be an old one, which is written over: new pages of a file cost more than what is copied.
class GradientWriter final : public training::GradientStore {
public:
    explicit GradientWriter(std::string path);
    ~GradientWriter() override;
    GradientWriter(const GradientWriter&) = delete;
    GradientWriter& operator=(const GradientWriter&) = delete;

    void start(std::vector<std::span<const float>> set) override;
    [[nodiscard]] bool wait() override;
    /// File and reason, where `wait` said false.
    [[nodiscard]] const std::string& failure() const { return failure_; }

private:
    void write(const std::vector<std::span<const float>>& set);

    std::string path_;
    int file_;
    std::thread thread_;
    std::string failure_;  ///< the thread's while it runs
};

class GradientReader final : public training::GradientLog {
public:
    GradientReader(std::string path, std::vector<training::Shape> shapes)
        : path_(std::move(path)), shapes_(std::move(shapes)) {}
    [[nodiscard]] Result<std::vector<training::Tensor>, training::EngineError> read(
        size_t i) const override;

private:
    std::string path_;
    std::vector<training::Shape> shapes_;
};

}  // namespace trainyard::node::provider
