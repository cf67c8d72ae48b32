// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Money that many own by shares. Always tokens <= shares: a share starts at one wei and only loses, by slashes. Nobody
/// can make shares dear, so rounding takes less than a wei from whoever joins.
struct Pool {
    uint128 tokens;
    uint128 shares;
}

/// @title Shares of a pool; all rounding favours those who stay
library Pools {
    function worth(Pool storage pool, uint256 shares) internal view returns (uint256) {
        return pool.shares == 0 ? 0 : shares * pool.tokens / pool.shares;
    }

    function add(Pool storage pool, uint256 amount) internal returns (uint256 shares) {
        shares = pool.shares == 0 ? amount : amount * pool.shares / pool.tokens;
        pool.tokens += uint128(amount);
        pool.shares += uint128(shares);
    }

    function remove(Pool storage pool, uint256 shares) internal returns (uint256 amount) {
        amount = worth(pool, shares);
        pool.tokens -= uint128(amount);
        pool.shares -= uint128(shares);
    }

    /// Takes exactly `amount`; gives the shares that it costs, rounded up.
    function take(Pool storage pool, uint256 amount) internal returns (uint256 shares) {
        shares = (amount * pool.shares + pool.tokens - 1) / pool.tokens;
        pool.tokens -= uint128(amount);
        pool.shares -= uint128(shares);
    }

    function slash(Pool storage pool, uint256 bps) internal returns (uint256 amount) {
        amount = pool.tokens * bps / 10_000;
        pool.tokens -= uint128(amount);
    }
}
