// SPDX-License-Identifier: Apache-2.0
// Asking the market for a price, and saying it.
#include "node/cli/job_cost.hpp"

#include "node/cli/output.hpp"

namespace trainyard::node::cli {
namespace {

std::string sum_text(const JobCost& c) {
    return std::to_string(c.spec.segments) + " segments x (" + coins(c.spec.price_wei) +
           " price + " + std::to_string(c.terms.seats) + " x " + coins(c.spec.audit_fee_wei) +
           " audit fee) = " + in_coins(c.escrow_wei);
}

/// How long training takes if a provider needs all of its time for every segment.
std::string time_text(const JobCost& c) {
    const uint64_t blocks = c.spec.segment_blocks;
    std::string text = "at most " + std::to_string(blocks) + " blocks a segment";
    if (c.block_seconds <= 0) return text;
    const double segment_s = static_cast<double>(blocks) * c.block_seconds;
    const double whole_s = segment_s * c.spec.segments;
    text += " (" + seconds_text(static_cast<uint64_t>(segment_s)) + ")";
    const bool is_in_time =
        static_cast<double>(c.now_s) + whole_s <= static_cast<double>(c.spec.deadline_s);
    return text + (is_in_time
                       ? ": trained by " + utc_text(c.now_s + static_cast<uint64_t>(whole_s)) +
                             " if it is taken now, audited soon after"
                       : ": whoever needs all of that is not done by the deadline");
}

}  // namespace

wallet::Answer<JobCost> cost_of(wallet::MarketApi& market, const wallet::JobSpec& spec) {
    JobCost out;
    out.spec = spec;
    out.client = market.self();
    out.now_s = unix_seconds();
    const auto escrow = market.quote(spec);
    if (!escrow) return unexpected(escrow.error());
    const auto terms = market.terms();
    if (!terms) return unexpected(terms.error());
    const auto balance = market.balance(out.client);
    if (!balance) return unexpected(balance.error());
    out.escrow_wei = *escrow;
    out.terms = *terms;
    out.balance_wei = *balance;
    if (const auto pace = market.block_seconds()) out.block_seconds = *pace;
    return out;
}

Uint256 least_spent_wei(const JobCost& c) {
    return Uint256(c.spec.segments) *
           (c.spec.price_wei + Uint256(c.terms.first_auditors) * c.spec.audit_fee_wei);
}

std::string to_text(const JobCost& c) {
    const auto row = [](const std::string& name, const std::string& text) {
        return "  " + name + std::string(10 - name.size(), ' ') + text;
    };
    const auto& spec = c.spec;
    std::string out = "what this job costs:\n" + row("escrow", sum_text(c));
    out += "\n" +
           row("spent", in_coins(least_spent_wei(c)) +
                            " if no segment is replayed, at "
                            "most the escrow; the rest comes back, also of what is not trained");
    out += "\n" + row("balance", in_coins(c.balance_wei) + " of " + to_hex0x(c.client.bytes) +
                                     ", then " + coins(c.balance_wei - c.escrow_wei) + " less gas");
    out += "\n" + row("time", time_text(c));
    out += "\n" + row("deadline", utc_text(spec.deadline_s) + ", then the rest is refunded");
    out +=
        "\n" + row("provider", (spec.provider.is_zero() ? "any" : to_hex0x(spec.provider.bytes)) +
                                   " with " + in_coins(c.terms.bond_factor * spec.price_wei) +
                                   " of free stake, as bond");
    return out;
}

boost::json::object to_json(const JobCost& c) {
    return {{"segments", c.spec.segments},
            {"pricePerSegmentWei", to_decimal(c.spec.price_wei)},
            {"auditFeeWei", to_decimal(c.spec.audit_fee_wei)},
            {"auditSeats", c.terms.seats},
            {"unitWork", c.spec.unit_work},
            {"escrowWei", to_decimal(c.escrow_wei)},
            {"leastSpentWei", to_decimal(least_spent_wei(c))},
            {"balanceWei", to_decimal(c.balance_wei)},
            {"providerBondWei", to_decimal(c.terms.bond_factor * c.spec.price_wei)},
            {"deadline", c.spec.deadline_s}};
}

}  // namespace trainyard::node::cli
