create table reports (
  id bigint generated always as identity primary key,
  tenant text not null,
  month text not null,
  body text not null
);

create table jobs (
  id bigint generated always as identity primary key,
  payload text not null,
  done_at timestamptz
);
create index on jobs (id) where done_at is null;
