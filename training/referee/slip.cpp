// SPDX-License-Identifier: Apache-2.0
// Rules that read one input wrongly.
#include "training/referee/slip.hpp"

#include "training/numerics/functions.hpp"

namespace trainyard::training::referee {

TensorList list_of(const std::vector<Tensor>& tensors) {
    TensorList out;
    for (const Tensor& tensor : tensors) out.push_back(&tensor);
    return out;
}

Inputs reading(const TensorList& in, const Slip* slip) {
    return [in, slip](uint32_t port, uint32_t element) {
        if (slip != nullptr && slip->input && slip->input->port == port &&
            slip->input->a == element)
            return slip->bits;
        return canonical(bits_of(in[port]->data[element]));
    };
}

uint32_t slipped(const Slip& slip, const Subject& subject, const TensorList& in) {
    if (!slip.input) return slip.bits;
    const Term term{kOutput, subject.port, slip.element};
    return evaluate(subject.call, term, reading(in, &slip)).value_or(slip.bits);
}

}  // namespace trainyard::training::referee
