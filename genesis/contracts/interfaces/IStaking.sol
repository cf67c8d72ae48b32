// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Types, events and errors of staking
interface IStakingTypes {
    struct ValidatorInit {
        address operator;    // signs audit answers and stake moves
        bytes consensusKey;  // secp256k1, 33 bytes
        bytes vrfKey;        // secp256k1, 33 bytes
        bytes p2pKey;        // secp256k1, 33 bytes
        uint256 stakeWei;
    }

    /// Set once in genesis.
    struct StakingParams {
        uint64 epochLength;      // blocks with one validator set, a multiple of the Beacon's epochLength
        uint64 unbondBlocks;     // from a request to its release: at least four epochs
        uint256 minSelfStakeWei; // of an operator that may be elected
    }

    /// A duty key as register takes it: the point and a signature over possessionDigest(operator, kind).
    struct ProvenKey { bytes32 x; bytes32 y; uint8 v; bytes32 r; bytes32 s; }

    struct Unbond { uint256 amount; uint64 releaseBlock; }

    /// One member of a validator set; the keys are compressed points of 33 bytes.
    struct Seat { address operator; bytes consensusKey; bytes vrfKey; bytes p2pKey; uint256 weightGwei; }

    struct CandidateView {
        bool known;
        bool tombstoned;
        bool contends;         // among those that may be elected
        uint64 jailedUntil;    // block from which unjail works; zero: not jailed
        uint16 commissionBps;
        uint256 self;          // wei of the operator
        uint256 delegated;     // wei of delegators
        uint256 shares;        // of what is delegated
        uint256 leaving;       // wei that waits to be withdrawn, of the operator and delegators
        uint256 weightGwei;    // in the next election, before the cap; zero: not eligible
        uint32 led;            // turns as leader in this epoch
        uint32 missed;
    }

    event Registered(address indexed operator, bytes consensusKey, bytes vrfKey, bytes p2pKey, uint16 commissionBps);
    event CommissionSet(address indexed operator, uint16 commissionBps);
    event Deposited(address indexed operator, address indexed from, uint256 amount);
    event Delegated(address indexed operator, address indexed delegator, uint256 amount, uint256 shares);
    event UnbondRequested(address indexed operator, address indexed owner, uint256 amount, uint64 releaseBlock);
    event Withdrawn(address indexed operator, address indexed owner, uint256 amount);
    event RewardsPaid(address indexed who, uint256 amount);
    event Fined(address indexed operator, uint256 amount);
    event Unjailed(address indexed operator);
    event Slashed(address indexed operator, uint8 offence, uint256 amount, address indexed reporter, uint256 bounty);

    error NotMarket();
    error NotSystem();
    error NotValidator();
    error BadInput();
    error BadValue(string what);
    error QueueFull();
    error Held(uint256 untilBlock);  // an audit may still fine the operator
    error NotYet();          // still jailed, or the set of that epoch is not known yet
    error Tombstoned();      // slashed for two conflicting votes: takes no more stake, is never elected again
    error NoOffence();       // the two votes do not prove one of this validator
    error NothingDue();
}

/// @title Stake: who the validators are, what they weigh, and what they can lose
/// @notice docs/spec/staking.md. The protocol calls it at the start of every block from the system address with
/// abi.encode(view, parentView, parentRandao) and no selector.
interface IStaking is IStakingTypes {
    // --- operators
    /// Joins with three keys (consensus, VRF, P2P, each proven) and the value sent as self stake.
    function register(ProvenKey[3] calldata keys, uint16 commissionBps) external payable;
    /// Lowers the commission at once, or raises it by at most 10 basis points in an epoch.
    function setCommission(uint16 commissionBps) external;
    /// Adds the value sent to the self stake of `operator`.
    function deposit(address operator) external payable;
    /// Starts the exit of `amount` of the sender's self stake; it can be fined and slashed until it is withdrawn.
    function unbond(uint256 amount) external;
    /// Ends the sender's jail, once its delay is over.
    function unjail() external;

    // --- delegators
    function delegate(address operator) external payable returns (uint256 shares);
    function undelegate(address operator, uint256 shares) external;
    /// Pays out what the sender's queue at `operator` has released, at most `max` entries. An operator that an audit may still
    /// fine, and that keeps less than the least self stake, waits for the end of that audit: reverts with Held.
    function withdraw(address operator, uint256 max) external;
    /// Pays out all rewards of the sender: those of its delegation to `operator` and those booked before.
    function claim(address operator) external;

    // --- anyone
    /// Puts a candidate that was displaced among the contenders again, if it outweighs the lightest.
    function contend(address operator) external;
    /// Slashes and tombstones `operator` for two conflicting votes (docs/spec/consensus.md section 3, 116 bytes each).
    function slashDoubleVote(address operator, bytes calldata votes) external;

    /// Market only. Takes up to `amount` from self stake, then from the operator's newest exits, and sends it to the market.
    function fine(address operator, uint256 amount) external returns (uint256 taken);
    /// Market only. Until this block `operator` may be fined, so its stake must not leave before.
    function hold(address operator, uint64 untilBlock) external;

    // --- views
    /// The set of an epoch, sorted by operator. Reverts with NotYet beyond the last one that is fixed.
    function setOf(uint256 epoch) external view returns (Seat[] memory);
    function lastEpoch() external view returns (uint256);
    /// The set in force, with its members' stake of now.
    function validators() external view returns (ValidatorInit[] memory);
    function validatorCount() external view returns (uint256);
    function isValidator(address operator) external view returns (bool);
    function stakeOf(address operator) external view returns (uint256);
    function totalStake() external view returns (uint256);
    function candidate(address operator) external view returns (CandidateView memory);
    function contenders() external view returns (address[] memory);
    function delegation(address operator, address who) external view returns (uint256 shares, uint256 amount, uint256 rewards);
    function unbonding(address operator, address who) external view returns (Unbond[] memory);
    function rewardsOf(address who) external view returns (uint256);
    function possessionDigest(address operator, uint256 kind) external view returns (bytes32);
    /// Weight in draws of commits of a mini-epoch: that in the set of the epoch it lies in.
    function weightAt(address operator, uint256 miniEpoch) external view returns (uint256);
    /// Of that set: the sum of all weights and the largest.
    function spread(uint256 miniEpoch) external view returns (uint256 total, uint256 largest);
    /// First block in which stake may be gone that weighs in draws of that mini-epoch: what left when its set was fixed is
    /// released then. Who is drawn before can be held.
    function backedUntil(uint256 miniEpoch) external view returns (uint256);
    /// The first `count` of a weighted order without replacement; `a` and `b` take no part.
    function draw(bytes32 seed, uint256 miniEpoch, address a, address b, uint256 count) external view returns (address[] memory);
}
