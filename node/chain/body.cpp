// SPDX-License-Identifier: Apache-2.0
// Bodies are cut out of and put back into the encoding of whole blocks.
#include "node/chain/body.hpp"

namespace trainyard::node::chain {
namespace {

/// The items of an encoded list after the first one, or all of them.
Result<Bytes, rlp::Error> items_of(BytesView list, bool skip_first) {
    rlp::Reader outer(list);
    auto items = outer.list();
    if (!items) return unexpected(items.error());
    if (auto done = outer.finish(); !done) return unexpected(done.error());
    Bytes rest;
    for (bool skip = skip_first; !items->at_end(); skip = false) {
        const auto item = items->raw();
        if (!item) return unexpected(item.error());
        if (!skip) append(rest, *item);
    }
    return rest;
}

}  // namespace

Bytes encode_body(const Block& block) {
    const auto items = items_of(encode_block(block), true);
    rlp::Writer writer;
    writer.begin_list().raw(items.value()).end_list();
    return writer.take();
}

Result<Block, rlp::Error> join_body(const Header& header, BytesView body) {
    const auto items = items_of(body, false);
    if (!items) return unexpected(items.error());
    rlp::Writer writer;
    writer.begin_list().raw(encode_header(header)).raw(*items).end_list();
    return decode_block(writer.take());
}

}  // namespace trainyard::node::chain
