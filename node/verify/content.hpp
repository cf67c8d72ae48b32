// SPDX-License-Identifier: Apache-2.0
// The large fields of requests and replies: gigabytes that are made once and never copied.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>

#include "core/bytes.hpp"

namespace trainyard::node::verify {

/// Bytes that do not change any more, wherever they lie; copies share them.
class Content {
public:
    Content() = default;
    Content(Bytes bytes);
    Content(std::initializer_list<uint8_t> bytes) : Content(Bytes(bytes)) {}
    /// What lies elsewhere as long as there is an owner.
    Content(std::shared_ptr<const void> owner, BytesView view)
        : owner_(std::move(owner)), view_(view) {}
    operator BytesView() const { return view_; }
    [[nodiscard]] const uint8_t* data() const { return view_.data(); }
    [[nodiscard]] size_t size() const { return view_.size(); }
    [[nodiscard]] bool empty() const { return view_.empty(); }
    bool operator==(const Content& other) const;

private:
    std::shared_ptr<const void> owner_;
    BytesView view_;
};

/// Memory for a field that has yet to arrive: not touched before it does, so that whoever writes
/// it, and with how many threads, also finds the pages. Takes what the size says, rounded up to
/// pages, and counts as data of this process. Where there is none the new handler is asked, as by
/// `new`.
class Blank {
public:
    explicit Blank(size_t size);
    [[nodiscard]] std::span<uint8_t> bytes() const { return {memory_.get(), size_}; }
    /// What was written; zeros where nothing was.
    [[nodiscard]] Content take() &&;

private:
    std::shared_ptr<uint8_t> memory_;
    size_t size_;
};

}  // namespace trainyard::node::verify
