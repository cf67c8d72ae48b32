// SPDX-License-Identifier: Apache-2.0
// What a device's backend offers to those who pass its memory to other devices.
#pragma once

#include <string>

namespace trainyard::cuda {

class LinkEnd {
public:
    virtual ~LinkEnd() = default;
    /// At most 128 bytes that no other device of any machine has.
    [[nodiscard]] virtual std::string device_id() const = 0;
    /// Makes the device the calling thread's; the stream (a cudaStream_t) of the backend's calls,
    /// nullptr after an error.
    [[nodiscard]] virtual void* open_stream() = 0;
    /// What was put on the stream failed; the backend's `finish` says so.
    virtual void fail_device() = 0;
};

}  // namespace trainyard::cuda
