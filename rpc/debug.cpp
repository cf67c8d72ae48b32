// SPDX-License-Identifier: Apache-2.0
// debug_getRaw*: consensus encodings.
#include "rpc/lookup.hpp"

namespace trainyard::rpc {

namespace {

Result<BlockPtr, Error> named_block(Call& call) {
    return require_block(call.backend, call.args.at<BlockId>(0));
}

Outcome raw_block(Call& call) {
    const auto block = named_block(call);
    if (!block) return Unexpected(block.error());
    call.out.data(BytesView(encode_block((*block)->block)));
    return Done{};
}

Outcome raw_header(Call& call) {
    const auto block = named_block(call);
    if (!block) return Unexpected(block.error());
    call.out.data(BytesView(encode_header((*block)->block.header)));
    return Done{};
}

Outcome raw_receipts(Call& call) {
    const auto block = named_block(call);
    if (!block) return Unexpected(block.error());
    call.out.begin_array();
    for (const auto& receipt : (*block)->receipts)
        call.out.data(BytesView(encode_receipt(receipt)));
    call.out.end_array();
    return Done{};
}

Outcome raw_transaction(Call& call) {
    const auto raw = find_raw_tx(call.backend, call.args.at<Hash>(0));
    if (!raw) return Unexpected(server_error("transaction not found"));
    call.out.data(BytesView(*raw));
    return Done{};
}

constexpr Param kBlock{"block", Kind::block, true};

constexpr Method kMethods[] = {
    {"debug_getRawBlock", raw_block, {kBlock}, Shape::data, false, "RLP of a block"},
    {"debug_getRawHeader", raw_header, {kBlock}, Shape::data, false, "RLP of a header"},
    {"debug_getRawReceipts",
     raw_receipts,
     {kBlock},
     Shape::array,
     false,
     "a block's receipts, encoded"},
    {"debug_getRawTransaction",
     raw_transaction,
     {{{"hash", Kind::hash, true}}},
     Shape::data,
     false,
     "encoding of a transaction"},
};

}  // namespace

std::span<const Method> debug_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
