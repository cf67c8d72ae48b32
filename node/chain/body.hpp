// SPDX-License-Identifier: Apache-2.0
// A block's body on its own, as a proposal carries it beside the header: RLP([txs, ommers,
// withdrawals]).
#pragma once

#include "core/block.hpp"
#include "core/result.hpp"

namespace trainyard::node::chain {

[[nodiscard]] Bytes encode_body(const Block& block);
/// The block of `header` with this body.
[[nodiscard]] Result<Block, rlp::Error> join_body(const Header& header, BytesView body);

}  // namespace trainyard::node::chain
