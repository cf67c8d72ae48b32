// SPDX-License-Identifier: Apache-2.0
// Which logs a filter selects, and which blocks cannot hold any of them.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rpc/encode.hpp"
#include "rpc/params.hpp"

namespace trainyard::rpc {

/// A filter made ready for many blocks: its choices sorted, and as bloom positions. Anybody may
/// leave thousands of filters of thousands of choices, and all of them meet every block.
class LogMatcher {
public:
    explicit LogMatcher(LogFilter filter);
    /// Its choices are sorted, which changes nothing.
    [[nodiscard]] const LogFilter& filter() const { return filter_; }
    /// False only if no log of the filter can be in a block with this bloom.
    [[nodiscard]] bool may_match(const Bloom& bloom) const;
    [[nodiscard]] bool matches(const Log& log) const;
    [[nodiscard]] uint64_t size_bytes() const;

private:
    using Bits = std::array<uint16_t, 3>;
    LogFilter filter_;
    std::vector<std::vector<Bits>> all_of_any_;
};

/// Visits the selected logs of a block in order, as long as `visit` says to go on.
void for_each_match(const LogMatcher& matcher, const FullBlock& block,
                    const std::function<bool(const LogPlace&)>& visit);

/// The logs of a block as JSON, each written once, when somebody first wants it.
class WrittenLogs {
public:
    using Text = std::shared_ptr<const std::string>;
    /// `block` outlives it.
    WrittenLogs(const FullBlock& block, bool removed) : block_(block), removed_(removed) {}
    [[nodiscard]] const FullBlock& block() const { return block_; }
    [[nodiscard]] bool removed() const { return removed_; }
    [[nodiscard]] const Text& at(const LogPlace& place);

private:
    const FullBlock& block_;
    const bool removed_;
    std::map<size_t, Text> texts_;  ///< by the log's number in the block
};

}  // namespace trainyard::rpc
