// SPDX-License-Identifier: Apache-2.0
// What a provider opens with training/ is what the contract checks, for shapes with odd Merkle rows
// too.
#include <gtest/gtest.h>

#include "core/hash.hpp"
#include "market.hpp"
#include "training/segment.hpp"

namespace trainyard::contracts {
namespace {

struct Shape {
    uint32_t first_step, steps, units;
};

Hash named(const std::string& name) {
    return keccak256(as_bytes(name));
}

training::SegmentRecord make_record(const Shape& shape) {
    training::SegmentRecord record;
    record.first_step = shape.first_step;
    record.states.first = named("first state");
    for (uint32_t i = 1; i < shape.steps; ++i)
        record.states.weights_inside.push_back(named("weights " + std::to_string(i)));
    record.states.last = named("last state");
    for (uint32_t i = 0; i < shape.steps; ++i) {
        const uint32_t t = shape.first_step + i;
        std::vector<training::Unit> units;
        for (uint32_t j = 0; j < shape.units; ++j)
            units.push_back(
                {0x40000000 + 256 * i + j, named("unit " + std::to_string(i * 1000 + j))});
        training::StepTuple tuple;
        tuple.units_root = training::units_root(t, units);
        tuple.grad_root = named("gradient " + std::to_string(i));
        tuple.norm_bits = 0x3f800001 + i;
        tuple.loss_bits = 0x40490fdb + i;
        record.tuples.push_back(tuple);
        record.units.push_back(units);
    }
    return record;
}

Abi encode(const training::UnitOpening& o) {
    return Abi()
        .word(o.t)
        .word(o.j)
        .word(o.unit.loss_bits)
        .hash(o.unit.grad_root)
        .hashes(o.unit_path)
        .hash(o.tuple.grad_root)
        .word(o.tuple.norm_bits)
        .word(o.tuple.loss_bits)
        .word(o.tuple.nonfinite)
        .hashes(o.step_path);
}

struct OpeningsFixture : testing::Test {
    Chain chain{make_validators(1)};

    /// AuditRules.checkOpenings on one opening of unit (i, j) of the segment.
    Sent check(const Shape& shape, const training::SegmentRecord& record,
               const training::UnitOpening& o) {
        const uint32_t index = (o.t - shape.first_step) * shape.units + o.j;
        const Bytes args = Abi().word(0).word(0).tuples({encode(o)}).encode();
        const Abi call = Abi()
                             .bytes(args)
                             .hashes({to_hash(index)})
                             .word(shape.first_step)
                             .word(shape.steps)
                             .word(shape.units)
                             .hash(training::claim_of(record).steps_root)
                             .word(training::last_loss_bits(record));
        const std::string signature =
            "checkOpenings(bytes,uint256[],(uint256,uint256,uint256,bytes32,uint32))";
        return chain.send(actor("anyone"), chain.address("AuditRules"), call_data(signature, call));
    }
};
using openings = OpeningsFixture;

TEST_F(openings, every_unit_of_every_shape_opens_on_the_chain_as_in_training) {
    const std::vector<Shape> shapes = {{0, 1, 1}, {5, 2, 3}, {20, 20, 4}, {7, 3, 5}, {0, 8, 1}};
    for (const Shape& shape : shapes) {
        const training::SegmentRecord record = make_record(shape);
        for (uint32_t i = 0; i < shape.steps; ++i) {
            for (uint32_t j = 0; j < shape.units; ++j) {
                const uint32_t t = shape.first_step + i;
                const Sent sent = check(shape, record, training::open_unit(record, t, j));
                ASSERT_TRUE(sent.ok) << sent.error() << " t " << t << " j " << j;
                EXPECT_EQ(hash_at(sent.output, 2), training::unit_leaf(t, j, record.units[i][j]));
            }
        }
    }
}

TEST_F(openings, rejects_a_change_in_any_field) {
    const Shape shape{20, 5, 3};
    const training::SegmentRecord record = make_record(shape);
    const auto error_of = [&](auto change) {
        training::UnitOpening o = training::open_unit(record, 24, 1);
        change(o);
        return check(shape, record, o).error();
    };
    using Opening = training::UnitOpening;
    EXPECT_EQ(error_of([](Opening&) {}), "");
    EXPECT_EQ(error_of([](Opening& o) { o.unit.loss_bits ^= 1; }), "BadOpening(step path)");
    EXPECT_EQ(error_of([](Opening& o) { o.unit.grad_root[31] ^= 1; }), "BadOpening(step path)");
    EXPECT_EQ(error_of([](Opening& o) { o.unit_path[0][0] ^= 1; }), "BadOpening(step path)");
    EXPECT_EQ(error_of([](Opening& o) { o.unit_path.push_back({}); }), "BadOpening(unit path)");
    EXPECT_EQ(error_of([](Opening& o) { o.unit_path.pop_back(); }), "BadOpening(unit path)");
    EXPECT_EQ(error_of([](Opening& o) { o.tuple.grad_root[0] ^= 1; }), "BadOpening(step path)");
    EXPECT_EQ(error_of([](Opening& o) { o.tuple.norm_bits ^= 1; }), "BadOpening(step path)");
    EXPECT_EQ(error_of([](Opening& o) { o.tuple.loss_bits ^= 1; }), "BadOpening(loss)")
        << "the last step's";
    EXPECT_EQ(error_of([](Opening& o) { o.tuple.nonfinite = 1; }), "BadOpening(step path)");
    EXPECT_EQ(error_of([](Opening& o) { o.step_path.back()[0] ^= 1; }), "BadOpening(step path)");
    EXPECT_EQ(error_of([](Opening& o) { o.step_path.push_back({}); }), "BadOpening(step path)");
}

TEST_F(openings, rejects_another_unit_than_the_drawn_one) {
    const Shape shape{0, 5, 3};
    const training::SegmentRecord record = make_record(shape);
    const Bytes args =
        Abi().word(0).word(0).tuples({encode(training::open_unit(record, 1, 1))}).encode();
    const Hash root = training::claim_of(record).steps_root;
    const Abi call = Abi()
                         .bytes(args)
                         .hashes({to_hash(5)})
                         .word(0)
                         .word(5)
                         .word(3)
                         .hash(root)
                         .word(0x40490fdb + 4);
    const std::string signature =
        "checkOpenings(bytes,uint256[],(uint256,uint256,uint256,bytes32,uint32))";
    EXPECT_EQ(chain.send(actor("anyone"), chain.address("AuditRules"), call_data(signature, call))
                  .error(),
              "BadOpening(unit)");
}

TEST_F(openings, drawn_units_follow_the_published_rule_and_never_repeat) {
    const Bytes prefix = Abi().hash(named("a")).word(7).encode();
    const auto drawn = [&](uint64_t count, uint64_t all) {
        const Abi args = Abi().bytes(prefix).word(count).word(all);
        return array_at(chain.call(chain.address("AuditRules"),
                                   call_data("drawUnits(bytes,uint256,uint256)", args)),
                        0);
    };
    const std::vector<Uint256> four = drawn(4, 80);
    for (uint64_t i = 0; i < 4; ++i) {
        Bytes preimage = prefix;
        append(preimage, to_hash(i).bytes);
        EXPECT_EQ(four[i], from_hash(keccak256(preimage)) % 80);
    }
    const std::vector<Uint256> all = drawn(7, 7);
    EXPECT_EQ(std::set<Uint256>(all.begin(), all.end()).size(), 7u);
}

}  // namespace
}  // namespace trainyard::contracts
