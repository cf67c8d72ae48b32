// SPDX-License-Identifier: Apache-2.0
// yard_*: what a light client asks for (docs/spec/light.md).
#include "rpc/lookup.hpp"
#include "rpc/service.hpp"

namespace trainyard::rpc {

namespace {

JsonWriter& write_final(JsonWriter& out, const FinalHeader& final) {
    out.begin_object().key("header").data(BytesView(encode_header(final.header)));
    return out.key("certificate").data(BytesView(final.certificate));
}

Outcome finality(Call& call) {
    const auto head = call.backend.block(Tag::finalized);
    if (!head) return Unexpected(server_error("nothing is final yet"));
    const uint64_t last = head->block.header.number;
    const auto found = call.backend.final_header(call.args.value_or<uint64_t>(0, last));
    if (!found) {
        call.out.null();
        return Done{};
    }
    write_final(call.out, *found).end_object();
    return Done{};
}

Outcome boundary(Call& call) {
    const auto found = call.backend.boundary(call.args.at<uint64_t>(0));
    if (!found && found.error().kind == CallError::Kind::unknown_block) {
        call.out.null();
        return Done{};
    }
    if (!found) return Unexpected(to_error(found.error()));
    write_final(call.out, found->final).key("witness").begin_array();
    for (const auto& node : found->witness) call.out.data(BytesView(node));
    call.out.end_array().end_object();
    return Done{};
}

constexpr Method kMethods[] = {
    {"yard_finality",
     finality,
     {{{"number", Kind::quantity, false}}},
     Shape::object,
     true,
     "a final header with its certificate, at or just below a number"},
    {"yard_boundary",
     boundary,
     {{{"epoch", Kind::quantity, true}}},
     Shape::object,
     true,
     "the last block of an epoch, its certificate, and a proof of the set it fixes"},
};

}  // namespace

std::span<const Method> light_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
