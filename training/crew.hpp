// SPDX-License-Identifier: Apache-2.0
// The processes that share the micro-batches of a step, seen by one of them.
#pragma once

#include <cstdint>
#include <span>

#include "core/bytes.hpp"

namespace trainyard::training {

/// Every process calls the same functions in the same order; each call waits for its partners.
class Crew {
public:
    virtual ~Crew() = default;
    [[nodiscard]] virtual uint32_t rank() const = 0;  ///< 0 is the first
    [[nodiscard]] virtual uint32_t size() const = 0;
    /// The parts of all ranks, in order; all are as long as `mine`.
    [[nodiscard]] virtual Bytes gather(BytesView mine) = 0;
    /// The elements of the messages below lie in memory of the backend and pass in the order of its
    /// calls, without waiting; else they lie on the host.
    [[nodiscard]] virtual bool reaches_devices() const { return false; }
    virtual void send_to_first(std::span<const float> x) = 0;
    virtual void receive(std::span<float> x, uint32_t from) = 0;
    /// The first one's elements, for all.
    virtual void share(std::span<float> x) = 0;
};

}  // namespace trainyard::training
