// SPDX-License-Identifier: Apache-2.0
// What a tracer may see of an execution. Without one, the interpreter runs a loop that has no hooks
// at all.
#pragma once

#include <span>

#include "vm/host.hpp"

namespace trainyard::vm {

/// The frame just before an instruction. Views hold during the call only.
struct StepView {
    uint64_t pc;
    uint8_t opcode;
    int depth;
    int64_t gas;
    int64_t refund;
    std::span<const Uint256> stack;  ///< the top is last
    BytesView memory;
    BytesView return_data;
    const Message& message;
};

class Tracer {
public:
    virtual ~Tracer() = default;
    /// Around every call and creation that is really entered, precompiles too. The recipient of a
    /// creation is the new address.
    virtual void on_enter(const Message& message) = 0;
    virtual void on_exit(const CallResult& result) = 0;
    virtual void on_step(const StepView& step) = 0;
    /// The instruction announced last failed.
    virtual void on_fault(Status status) = 0;
    /// The running frame wrote a log; gone again if a frame around it fails.
    virtual void on_log(const Address&, BytesView /*data*/, std::span<const Hash> /*topics*/) {}
    /// SELFDESTRUCT hands all that `from` has to `to`.
    virtual void on_selfdestruct(const Address& /*from*/, const Address& /*to*/,
                                 const Uint256& /*amount*/) {}
};

}  // namespace trainyard::vm
