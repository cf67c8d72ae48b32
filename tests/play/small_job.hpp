// SPDX-License-Identifier: Apache-2.0
// The terms of a job whose program and data a node has; nobody trains it.
#pragma once

#include "core/hash.hpp"
#include "node/wallet/market.hpp"
#include "tests/training/small_program.hpp"

namespace trainyard::test {

inline wallet::JobSpec publish_small_job(wallet::MarketApi& market) {
    auto options = training::small_options();
    const Bytes text = training::make_text(4000);
    options.data_root = *market.put_blob(text);
    options.data_bytes = text.size();
    const auto program = *training::make_gpt(options);
    const Bytes encoded = training::encode_program(program);
    wallet::JobSpec spec;
    spec.program = *market.put_blob(encoded);
    spec.program_id = sha256(encoded);
    spec.data = options.data_root;
    spec.steps_per_segment = program.run.segment_length;
    spec.micro_batches = program.run.micro_batches;
    spec.unit_work = training::audit_unit_work(program, *market.audit_limits());
    spec.segment_blocks = 100;
    return spec;
}

}  // namespace trainyard::test
