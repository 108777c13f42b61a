"""The .env files of the five systems that the portal replaces: whoever ran one starts with it."""

FERNET = "c2V2ZW50eS1maXZlIGRlZ3JlZXMgaW4gdGhlIHNoYWQ="

# The .env of each of the five systems that the portal replaces, with values in the place of their blanks.
LINKS = """
STRIPE_SECRET_KEY=sk_live_51Nx
STRIPE_WEBHOOK_SECRET=whsec_5WbX
OSCILLINK_STRIPE_PRICE_MAP=price_1SGaX7LcPYf7t6osDDmhtyUZ:free;price_1SGaX7LcPYf7t6osBWkbJgXG:pro;price_1SGaX8:enterprise
OSCILLINK_ALLOW_UNVERIFIED_STRIPE=0
"""
PLANS = f"""
STRIPE_SECRET_KEY=sk_live_51Nx
STRIPE_PUBLISHABLE_KEY=pk_live_51Nx
STRIPE_WEBHOOK_SECRET=whsec_5WbX

# Stripe Price IDs
STRIPE_PRICE_FREE_MONTHLY=price_free
STRIPE_PRICE_STARTER_MONTHLY=price_starter_m
STRIPE_PRICE_STARTER_YEARLY=price_starter_y
STRIPE_PRICE_PRO_MONTHLY=price_pro_m
STRIPE_PRICE_PRO_YEARLY=price_pro_y

ENVIRONMENT=production
DEBUG=false
SECRET_KEY={"5f0c" * 16}
API_PREFIX=/api/v1
ALLOWED_ORIGINS='["https://smartstockbot.app"]'
DATABASE_URL=postgresql://portal:pass$word@db.example.com:5432/portal
REDIS_URL=redis://redis.example.com:6379/0
JWT_SECRET_KEY={"a1b2" * 16}
JWT_ALGORITHM=HS256
ACCESS_TOKEN_EXPIRE_MINUTES=15
REFRESH_TOKEN_EXPIRE_DAYS=7
ENCRYPTION_KEY={FERNET}
BASE_URL=https://api.smartstockbot.app
"""
CREDITS = """
# Stripe Secret Key (REQUIRED)
STRIPE_SECRET_KEY=sk_test_...  # Use sk_live_... in production
STRIPE_WEBHOOK_SECRET=whsec_...  # Get from Step 3
FRONTEND_URL=http://localhost:3000  # Your frontend URL
NEXT_PUBLIC_API_URL=http://localhost:8000  # Your backend URL
NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY=pk_test_...
"""
ALLOW_LIST = """
STRIPE_SECRET_KEY=sk_test_xxx
STRIPE_WEBHOOK_SECRET=whsec_xxx
STRIPE_ALLOWED_PRICE_IDS=price_xstream_paygo,price_xstream_subscription
"""
USAGE = """
STRIPE_SECRET_KEY=sk_live_...
STRIPE_WEBHOOK_SECRET=whsec_...
NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY=pk_live_...
STRIPE_PRICE_ID_CPU_HOUR=price_...
STRIPE_PRICE_ID_GPU_HOUR=price_...
STRIPE_PRICE_ID_STORAGE_GB_MONTH=price_...
STRIPE_PRICE_ID_API_CALLS=price_...
STRIPE_PRICE_ID_CREDIT=price_...
STRIPE_TEST_SECRET_KEY=sk_test_...
NEXT_PUBLIC_STRIPE_TEST_PUBLISHABLE_KEY=pk_test_...
STRIPE_TEST_WEBHOOK_SECRET=whsec_...
STRIPE_TEST_PRODUCT_ID=prod_...
ADMIN_PATH=/admin47392
"""
