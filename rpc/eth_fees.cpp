// SPDX-License-Identifier: Apache-2.0
// eth_*: prices of gas, now and in the past.
#include <algorithm>

#include "rpc/encode.hpp"
#include "rpc/fees.hpp"
#include "rpc/lookup.hpp"
#include "rpc/service.hpp"

namespace trainyard::rpc {

namespace {

constexpr uint64_t kTipDefaultWei = 1'000'000;
constexpr uint64_t kTipMaxWei = 500'000'000'000;  // no suggestion above 500 gwei, as geth
constexpr uint64_t kOracleBlocks = 20;
constexpr size_t kOracleTipsPerBlock = 3;
constexpr size_t kOraclePercentile = 60;
constexpr uint64_t kHistoryBlocksMax = 1024;

struct TipShare {
    Uint256 tip;
    uint64_t gas = 0;
};

void collect_lowest_tips(const FullBlock& block, std::vector<Uint256>& tips) {
    std::vector<Uint256> paid;
    for (const auto& tx : block.block.txs) {
        const Uint256 tip = tip_paid(tx, block.block.header);
        if (!tip.is_zero()) paid.push_back(tip);
    }
    std::sort(paid.begin(), paid.end());
    paid.resize(std::min(paid.size(), kOracleTipsPerBlock));
    tips.insert(tips.end(), paid.begin(), paid.end());
}

std::vector<TipShare> shares_of(const FullBlock& block) {
    std::vector<TipShare> shares;
    uint64_t before = 0;
    for (size_t i = 0; i < block.block.txs.size(); ++i) {
        const uint64_t cumulative = block.receipts[i].cumulative_gas_used;
        shares.push_back({tip_paid(block.block.txs[i], block.block.header), cumulative - before});
        before = cumulative;
    }
    std::stable_sort(shares.begin(), shares.end(),
                     [](const TipShare& a, const TipShare& b) { return a.tip < b.tip; });
    return shares;
}

/// The tips at which the given percentages of the block's gas were bought.
void write_rewards(JsonWriter& out, const FullBlock& block,
                   const std::vector<double>& percentiles) {
    const auto shares = shares_of(block);
    out.begin_array();
    size_t i = 0;
    uint64_t sum = shares.empty() ? 0 : shares[0].gas;
    for (const double p : percentiles) {
        const double threshold = static_cast<double>(block.block.header.gas_used) * p / 100;
        while (i + 1 < shares.size() && static_cast<double>(sum) < threshold)
            sum += shares[++i].gas;
        out.quantity(shares.empty() ? Uint256(0) : shares[i].tip);
    }
    out.end_array();
}

double ratio(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// Blob gas of a block as a share of the limit of six blobs (EIP-4844, raised since); zero for us.
constexpr uint64_t kBlobGasMax = 786'432;

class History {
public:
    explicit History(Call& call) : call_(call) {}

    Outcome write(uint64_t first, uint64_t last, const std::vector<double>* percentiles) {
        if (const auto read = read_headers(first, last); !read) return read;
        auto& out = call_.out;
        out.begin_object().key("oldestBlock").quantity(first);
        write_base_fees();
        out.key("gasUsedRatio").begin_array();
        for (const auto& h : headers_) out.number(ratio(h.gas_used, h.gas_limit));
        out.end_array();
        write_blob_fees();
        if (percentiles)
            if (const auto done = write_all_rewards(first, last, *percentiles); !done) return done;
        out.end_object();
        return Done{};
    }

private:
    Outcome read_headers(uint64_t first, uint64_t last) {
        for (uint64_t n = first; n <= last; ++n) {
            auto header = call_.backend.header(n);
            if (!header) return Unexpected(server_error("header not found"));
            headers_.push_back(std::move(*header));
        }
        return Done{};
    }
    void write_base_fees() {
        call_.out.key("baseFeePerGas").begin_array();
        for (const auto& h : headers_) call_.out.quantity(h.base_fee_per_gas.value_or(Uint256(0)));
        call_.out.quantity(call_.backend.next_base_fee(headers_.back())).end_array();
    }
    void write_blob_fees() {
        call_.out.key("baseFeePerBlobGas").begin_array();
        for (const auto& h : headers_) call_.out.quantity(call_.backend.blob_base_fee(h));
        call_.out.quantity(call_.backend.blob_base_fee(headers_.back())).end_array();
        call_.out.key("blobGasUsedRatio").begin_array();
        for (const auto& h : headers_)
            call_.out.number(ratio(h.blob_gas_used.value_or(0), kBlobGasMax));
        call_.out.end_array();
    }
    Outcome write_all_rewards(uint64_t first, uint64_t last,
                              const std::vector<double>& percentiles) {
        const ReadTime time(call_.service.options());
        call_.out.key("reward").begin_array();
        for (uint64_t n = first; n <= last; ++n) {
            if (time.is_up()) return Unexpected(time.refusal());
            const auto block = call_.backend.block(n);
            if (!block && call_.backend.is_pruned(n)) return Unexpected(pruned_history());
            if (!block) return Unexpected(server_error("header not found"));
            write_rewards(call_.out, *block, percentiles);
        }
        call_.out.end_array();
        return Done{};
    }

    Call& call_;
    std::vector<Header> headers_;
};

Outcome fee_history(Call& call) {
    const auto newest = require_block(call.backend, call.args.at<BlockId>(1));
    if (!newest) {
        const auto* number = std::get_if<uint64_t>(&call.args.at<BlockId>(1));
        if (!number) return Unexpected(newest.error());
        return Unexpected(server_error("request beyond head block: requested " +
                                       std::to_string(*number) + ", head " +
                                       std::to_string(head(call.backend)->block.header.number)));
    }
    const uint64_t last = (*newest)->block.header.number;
    const uint64_t count = std::min({call.args.at<uint64_t>(0), kHistoryBlocksMax, last + 1});
    if (count == 0) {
        // geth leaves baseFeePerGas out, and viem fails on that.
        call.out.begin_object().key("oldestBlock").quantity(uint64_t{0});
        call.out.key("baseFeePerGas").begin_array().end_array();
        call.out.key("gasUsedRatio").begin_array().end_array().end_object();
        return Done{};
    }
    return History(call).write(last + 1 - count, last, call.args.maybe<std::vector<double>>(2));
}

Uint256 base_fee_now(const Backend& backend) {
    return backend.next_base_fee(head(backend)->block.header);
}

Outcome gas_price(Call& call) {
    call.out.quantity(base_fee_now(call.backend) + suggested_tip(call.backend));
    return Done{};
}

Outcome max_priority_fee(Call& call) {
    call.out.quantity(suggested_tip(call.backend));
    return Done{};
}

Outcome base_fee(Call& call) {
    call.out.quantity(base_fee_now(call.backend));
    return Done{};
}

Outcome blob_base_fee(Call& call) {
    call.out.quantity(call.backend.blob_base_fee(head(call.backend)->block.header));
    return Done{};
}

constexpr Method kMethods[] = {
    {"eth_gasPrice", gas_price, {}, Shape::quantity, false, "next base fee plus the suggested tip"},
    {"eth_maxPriorityFeePerGas", max_priority_fee, {}, Shape::quantity, false, "suggested tip"},
    {"eth_baseFee", base_fee, {}, Shape::quantity, false, "base fee of the next block"},
    {"eth_blobBaseFee", blob_base_fee, {}, Shape::quantity, false, "price of blob gas at the head"},
    {"eth_feeHistory",
     fee_history,
     {{{"blockCount", Kind::count, true},
       {"newestBlock", Kind::block_number, true},
       {"rewardPercentiles", Kind::percentiles, false}}},
     Shape::object,
     false,
     "base fees, fullness and tips of past blocks"},
};

}  // namespace

Uint256 tip_paid(const Tx& tx, const Header& header) {
    const Uint256 price = effective_gas_price(tx, header);
    return checked_sub(price, header.base_fee_per_gas.value_or(Uint256(0))).value_or(Uint256(0));
}

Uint256 suggested_tip(const Backend& backend) {
    std::vector<Uint256> tips;
    const uint64_t last = head(backend)->block.header.number;
    for (uint64_t back = 0; back < kOracleBlocks && back <= last; ++back) {
        const auto header = backend.header(last - back);
        if (!header || header->gas_used == 0) continue;
        if (const auto block = backend.block(last - back)) collect_lowest_tips(*block, tips);
    }
    if (tips.empty()) return Uint256(kTipDefaultWei);
    std::sort(tips.begin(), tips.end());
    return std::min(tips[(tips.size() - 1) * kOraclePercentile / 100], Uint256(kTipMaxWei));
}

std::span<const Method> fee_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
