create table tokens (
  token text primary key,
  customer integer not null
);

create table articles (
  id integer primary key,
  name text not null,
  price_cents integer not null
);

create table orders (
  id bigint generated always as identity primary key,
  customer integer not null,
  article integer not null references articles,
  created_at timestamptz not null default now()
);
create index on orders (customer, id desc);

insert into tokens select 'token-' || n, n from generate_series(1, 50) as n;
insert into articles select n, 'article ' || n, 100 * n from generate_series(1, 500) as n;
-- As in production: a statement that is planned while its table is empty is slow when the table is not.
insert into orders (customer, article) select n % 50 + 1, n % 500 + 1 from generate_series(1, 5000) as n;
analyze;
