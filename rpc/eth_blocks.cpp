// SPDX-License-Identifier: Apache-2.0
// eth_*: blocks, their counts and receipts.
#include "rpc/encode.hpp"
#include "rpc/lookup.hpp"

namespace trainyard::rpc {

namespace {

Outcome block_number(Call& call) {
    call.out.quantity(head(call.backend)->block.header.number);
    return Done{};
}

Outcome write_or_null(Call& call, const Result<BlockPtr, Error>& found) {
    if (!found) return Unexpected(found.error());
    const BlockPtr& block = *found;
    if (block)
        write_block(call.out, *block, call.args.at<bool>(1));
    else
        call.out.null();
    return Done{};
}

Outcome get_block_by_number(Call& call) {
    return write_or_null(call, find_block(call.backend, call.args.at<BlockId>(0)));
}

Outcome get_block_by_hash(Call& call) {
    return write_or_null(call, find_block(call.backend, BlockByHash{call.args.at<Hash>(0), false}));
}

Outcome write_header_or_null(Call& call, const Result<BlockPtr, Error>& found) {
    if (!found) return Unexpected(found.error());
    const BlockPtr& block = *found;
    block ? write_header(call.out, block->hash, block->block.header) : void(call.out.null());
    return Done{};
}

Outcome get_header_by_number(Call& call) {
    return write_header_or_null(call, find_block(call.backend, call.args.at<BlockId>(0)));
}

Outcome get_header_by_hash(Call& call) {
    return write_header_or_null(
        call, find_block(call.backend, BlockByHash{call.args.at<Hash>(0), false}));
}

Outcome write_count(Call& call, const Result<BlockPtr, Error>& found) {
    if (!found) return Unexpected(found.error());
    const BlockPtr& block = *found;
    block ? call.out.quantity(uint64_t{block->block.txs.size()}) : call.out.null();
    return Done{};
}

Outcome tx_count_by_hash(Call& call) {
    return write_count(call, find_block(call.backend, BlockByHash{call.args.at<Hash>(0), false}));
}

Outcome tx_count_by_number(Call& call) {
    return write_count(call, find_block(call.backend, call.args.at<BlockId>(0)));
}

Outcome get_block_receipts(Call& call) {
    const auto found = find_block(call.backend, call.args.at<BlockId>(0));
    if (!found) return Unexpected(found.error());
    const BlockPtr& block = *found;
    if (!block) {
        call.out.null();
        return Done{};
    }
    const Uint256 blob_fee = call.backend.blob_base_fee(block->block.header);
    call.out.begin_array();
    for (size_t i = 0; i < block->receipts.size(); ++i)
        write_receipt(call.out, *block, i, blob_fee);
    call.out.end_array();
    return Done{};
}

/// There are no uncles on a chain that forks only by view.
Outcome uncle_count_by_number(Call& call) {
    const auto found = find_block(call.backend, call.args.at<BlockId>(0));
    if (!found) return Unexpected(found.error());
    const BlockPtr& block = *found;
    block ? call.out.quantity(uint64_t{block->block.ommers.size()}) : call.out.null();
    return Done{};
}

Outcome uncle_count_by_hash(Call& call) {
    const auto found = find_block(call.backend, BlockByHash{call.args.at<Hash>(0), false});
    if (!found) return Unexpected(found.error());
    const BlockPtr& block = *found;
    block ? call.out.quantity(uint64_t{block->block.ommers.size()}) : call.out.null();
    return Done{};
}

Outcome no_uncle(Call& call) {
    call.out.null();
    return Done{};
}

void write_capability(JsonWriter& out, std::string_view name, uint64_t oldest) {
    out.key(name).begin_object().key("disabled").boolean(false);
    out.key("oldestBlock").quantity(oldest).end_object();
}

Outcome capabilities(Call& call) {
    const auto block = head(call.backend);
    call.out.begin_object().key("head").begin_object();
    call.out.key("number").quantity(block->block.header.number).key("hash").data(block->hash);
    call.out.end_object();
    const auto oldest = call.backend.oldest_kept();
    for (const auto* name : {"state", "stateproofs"})
        write_capability(call.out, name, oldest.state);
    for (const auto* name : {"tx", "logs", "receipts", "blocks"})
        write_capability(call.out, name, oldest.block);
    call.out.end_object();
    return Done{};
}

constexpr Param kNumber{"block", Kind::block_number, true};
constexpr Param kHash{"hash", Kind::hash, true};
constexpr Param kFull{"fullTransactions", Kind::boolean, true};
constexpr Param kIndex{"index", Kind::quantity, true};

constexpr Method kMethods[] = {
    {"eth_blockNumber", block_number, {}, Shape::quantity, false, "number of the certified head"},
    {"eth_getBlockByNumber",
     get_block_by_number,
     {kNumber, kFull},
     Shape::object,
     true,
     "a block by number or tag"},
    {"eth_getBlockByHash",
     get_block_by_hash,
     {kHash, kFull},
     Shape::object,
     true,
     "a block by hash"},
    {"eth_getHeaderByNumber",
     get_header_by_number,
     {kNumber},
     Shape::object,
     true,
     "a header by number or tag"},
    {"eth_getHeaderByHash", get_header_by_hash, {kHash}, Shape::object, true, "a header by hash"},
    {"eth_getBlockTransactionCountByHash",
     tx_count_by_hash,
     {kHash},
     Shape::quantity,
     true,
     "transactions in a block"},
    {"eth_getBlockTransactionCountByNumber",
     tx_count_by_number,
     {kNumber},
     Shape::quantity,
     true,
     "transactions in a block"},
    {"eth_getBlockReceipts",
     get_block_receipts,
     {{{"block", Kind::block, true}}},
     Shape::array,
     true,
     "all receipts of a block"},
    {"eth_getUncleCountByBlockNumber",
     uncle_count_by_number,
     {kNumber},
     Shape::quantity,
     true,
     "always zero for a known block"},
    {"eth_getUncleCountByBlockHash",
     uncle_count_by_hash,
     {kHash},
     Shape::quantity,
     true,
     "always zero for a known block"},
    {"eth_getUncleByBlockHashAndIndex",
     no_uncle,
     {kHash, kIndex},
     Shape::object,
     true,
     "always null"},
    {"eth_getUncleByBlockNumberAndIndex",
     no_uncle,
     {kNumber, kIndex},
     Shape::object,
     true,
     "always null"},
    {"eth_capabilities",
     capabilities,
     {},
     Shape::object,
     false,
     "what the node keeps, and from which block"},
};

}  // namespace

std::span<const Method> block_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
