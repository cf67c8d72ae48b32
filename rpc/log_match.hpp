// SPDX-License-Identifier: Apache-2.0
// Which logs a filter selects, and which blocks cannot hold any of them.
#pragma once

#include <functional>

#include "rpc/encode.hpp"
#include "rpc/params.hpp"

namespace trainyard::rpc {

/// A filter's addresses and topics as bloom positions, computed once per query.
class BloomTest {
public:
    explicit BloomTest(const LogFilter& filter);
    /// False only if no log of the filter can be in a block with this bloom.
    [[nodiscard]] bool may_match(const Bloom& bloom) const;

private:
    using Bits = std::array<uint16_t, 3>;
    std::vector<std::vector<Bits>> all_of_any_;
};

[[nodiscard]] bool matches(const LogFilter& filter, const Log& log);
/// Visits the selected logs of a block in order.
void for_each_match(const LogFilter& filter, const FullBlock& block,
                    const std::function<void(const LogPlace&)>& visit);

}  // namespace trainyard::rpc
